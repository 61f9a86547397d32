"""The Telegram bot: a client of the router like any other, behind a port of its own (4000)."""
