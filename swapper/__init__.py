"""Swapper: every model of a GPU host behind one port, started, stopped and swapped by systemd."""

__version__ = "0.1.0"
