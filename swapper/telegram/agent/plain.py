"""The plainest agent: one chat completion, streamed. No tools; the model sees and hears what it can by itself."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Mapping

import aiohttp

from swapper.telegram.agent.base import Event, Failed, Finished, Progress, Request, Thinking
from swapper.telegram.agent.messages import messages
from swapper.telegram.agent.thoughts import Thoughts

SILENCE = 900.0
"""Seconds without a byte after which an answer is given up. The router says every few seconds what one waits for."""

_LOG = logging.getLogger(__name__)

_AGAIN = "Try again in a moment: /retry asks the same once more."
_OTHER = "Choose another with /model, or ask whoever runs this server."
_WORDS: Mapping[str, tuple[str, str]] = {
    "context_exceeded": ("This is too long for {model}.", "/new begins a new conversation."),
    "model_not_found": ("There is no model {model} any more.", "Choose another with /model."),
    "model_failed": ("{model} could not be started.", _OTHER),
    "model_incomplete": ("{model} is not completely downloaded yet.", _OTHER),
    "model_disabled": ("{model} is switched off.", _OTHER),
    "model_incapable": ("{model} cannot do that.", "Choose another with /model."),
    "model_load_timeout": ("{model} took too long to start.", _AGAIN),
    "queue_full": ("Too many people want {model} right now.", _AGAIN),
    "queue_timeout": ("{model} was busy for too long.", _AGAIN),
    "engine_broke_off": ("{model} broke off in the middle of its answer.", _AGAIN),
    "key_missing": ("The model server wants a key that this bot does not have.", "Tell whoever runs this bot."),
    "key_wrong": ("The model server does not accept this bot's key.", "Tell whoever runs this bot."),
}
"""What is said in a chat. The router's own words are for an administrator, so they go to the journal."""


class PlainAgent:
    """Answers by one chat completion of the router."""

    def __init__(self, session: aiohttp.ClientSession, router: str, key: str = "") -> None:
        """Know where to ask.

        Args:
            session: Makes the connections; is the caller's to close.
            router: Such as `http://127.0.0.1:8000`.
            key: The API key, where the router wants one.
        """
        self._session = session
        self._url = f"{router.rstrip('/')}/v1/chat/completions"
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}

    async def answer(self, request: Request) -> AsyncIterator[Event]:
        """The answer's events, as `agent.base` says."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=SILENCE)
        try:
            body = {"model": request.model, "messages": await asyncio.to_thread(messages, request), "stream": True}
            async with self._session.post(self._url, json=body, headers=self._headers, timeout=timeout) as response:
                if response.status != 200:
                    yield failure(request.model, await response.text())
                    return
                async for event in _events(response, request.model):
                    yield event
        except (aiohttp.ClientError, TimeoutError) as error:
            _LOG.error("the router at %s: %r", self._url, error)
            yield Failed("router_unreachable", "The model server does not answer.", _AGAIN)
        except OSError as error:
            _LOG.error("a file of the conversation cannot be read: %s", error)
            yield Failed("file_gone", "A file that came with this question is not there any more.", "Send it again.")


def failure(model: str, body: str) -> Failed:
    """What the chat is told of an error of the router or an engine, whose own words go to the journal."""
    try:
        error = json.loads(body)["error"]
        code, message = str(error.get("code") or "error"), str(error.get("message") or "")
        if error.get("type") == "exceed_context_size_error" or "maximum context length" in message:
            code = "context_exceeded"  # as llama-server and vLLM say it
    except (ValueError, KeyError, TypeError, AttributeError):
        code, message = "error", body[:500]
    _LOG.error("%s: %s: %s", model, code, message, extra={"MODEL": model})
    said, hint = _WORDS.get(code, ("{model} could not answer that.", "Try /retry, or choose another with /model."))
    return Failed(code, said.format(model=model), hint)


async def _events(response: aiohttp.ClientResponse, model: str) -> AsyncIterator[Event]:
    """A stream of server-sent events (HTML Standard, 9.2) as events of the answer; comments are progress."""
    thoughts = Thoughts()
    async for line in _lines(response):
        if line.startswith(":"):
            yield Progress(line[1:].strip())
        elif line.startswith("data:") and (data := line[5:].strip()) == "[DONE]":
            for event in thoughts.end():
                yield event
            yield Finished()
            return
        elif line.startswith("data:"):
            chunk = json.loads(data)
            if "error" in chunk:
                yield failure(model, data)
                return
            choices = chunk.get("choices") or [{}]
            delta = choices[0].get("delta") or {}
            if thought := delta.get("reasoning_content") or delta.get("reasoning"):
                yield Thinking(thought)
            for event in thoughts.feed(delta.get("content") or ""):
                yield event
    yield failure(model, '{"error": {"code": "engine_broke_off", "message": "the stream ended without [DONE]"}}')


async def _lines(response: aiohttp.ClientResponse) -> AsyncIterator[str]:
    """Whole lines, however long: aiohttp's own `readline` has a limit."""
    rest = b""
    async for block in response.content.iter_any():
        *lines, rest = (rest + block).split(b"\n")
        for line in lines:
            yield line.decode(errors="replace").rstrip("\r")
