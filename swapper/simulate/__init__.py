"""What would happen: the scheduler of `core/`, and others beside it, driven by a clock that jumps from event to event.

Rule of this room: time is virtual and chance has a seed, so the same question has the same answer, always. Of the rest
of the house only `core/` and `config/` are known here.
"""
