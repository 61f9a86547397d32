"""Pure decisions: which model runs when.

Rule of this room: standard library data types only. No clock (time is an argument), no I/O, no asyncio, no logging.
Whatever happens arrives as an event through one door, `scheduler.Scheduler.handle(event, now)`, and leaves as actions.
"""
