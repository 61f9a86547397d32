"""Markdown as models write it → messages as Telegram takes them. Pure."""

from swapper.telegram.text.messages import LIMIT, Attached, Piece, compose
from swapper.telegram.text.render import render, thought
from swapper.telegram.text.spans import Block, units

__all__ = ["LIMIT", "Attached", "Block", "Piece", "compose", "render", "thought", "units"]
