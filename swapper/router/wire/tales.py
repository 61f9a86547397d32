"""What a stream says while its request waits, which also keeps proxies and clients from giving up."""

import asyncio
import json
import time
from collections.abc import Callable

from swapper.router.wire.answer import Answer
from swapper.router.wire.ports import Comments, Line

CHAT = "/v1/chat/completions"
"""The one route whose clients know what reasoning is."""


def comment(sentence: str) -> bytes:
    """A comment in a stream of events, which no client shows (HTML Standard, "Server-sent events")."""
    return b": %b\n\n" % sentence.replace("\n", " ").encode()


def reasoning(sentence: str, model: str, request_id: bytes) -> bytes:
    """A chunk of a chat whose model thinks aloud, with llama-server's and vLLM's `reasoning_content`."""
    chunk = {
        "id": f"chatcmpl-{request_id.decode()}",
        "object": "chat.completion.chunk",
        "created": int(time.time()),
        "model": model,
        "choices": [
            {"index": 0, "delta": {"role": "assistant", "reasoning_content": f"{sentence}\n"}, "finish_reason": None}
        ],
    }
    return b"data: %b\n\n" % json.dumps(chunk, ensure_ascii=False).encode()


class Teller:
    """Tells a client from time to time what it waits for."""

    __slots__ = ("_again", "_answer", "_line", "_say", "_timer")

    def __init__(self, comments: Comments, line: Line, answer: Answer, say: Callable[[], bytes]) -> None:
        """Begin after a while.

        Args:
            comments: When.
            line: The client's connection.
            answer: What the client gets; is opened with the first word.
            say: Makes an event, or a comment.
        """
        self._again = comments.again
        self._line = line
        self._answer = answer
        self._say = say
        self._timer = asyncio.get_running_loop().call_later(comments.first, self._tell)

    def stop(self) -> None:
        """There is no more to tell."""
        self._timer.cancel()

    def _tell(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._again, self._tell)
        if self._line.paused:
            return
        if not self._answer.opened:
            self._answer.open()
        self._answer.event(self._say())
