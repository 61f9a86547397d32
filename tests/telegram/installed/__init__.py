"""The installed bot, the real router and real engines; only Telegram's servers are stood in for."""
