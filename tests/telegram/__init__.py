"""The Telegram bot: its decisions here, and what needs the machine in `installed/`."""
