"""What is said in a chat when something fails. The router's own words are for administrators: in the journal."""

import logging
from collections.abc import Mapping

from swapper.client import RouterError
from swapper.telegram.agent.base import Failed

_LOG = logging.getLogger(__name__)

_AGAIN = "Try again in a moment: /retry asks the same once more."
_OTHER = "Choose another with /model, or ask whoever runs this server."
_ADMINISTRATOR = "Tell whoever runs this bot."
_WORDS: Mapping[str, tuple[str, str]] = {
    "router_unreachable": ("The model server does not answer.", _AGAIN),
    "router_stopping": ("The model server is being restarted.", _AGAIN),
    "model_not_found": ("There is no model {model} any more.", "Choose another with /model."),
    "model_failed": ("{model} could not be started.", _OTHER),
    "model_incomplete": ("{model} is not completely downloaded yet.", _OTHER),
    "model_disabled": ("{model} is switched off.", _OTHER),
    "model_incapable": ("{model} cannot do that.", "Choose another with /model."),
    "model_load_timeout": ("{model} took too long to start.", _AGAIN),
    "queue_full": ("Too many people want {model} right now.", _AGAIN),
    "queue_timeout": ("{model} was busy for too long.", _AGAIN),
    "key_busy": ("Too many questions are being answered right now.", _AGAIN),
    "engine_broke_off": ("{model} broke off in the middle of its answer.", _AGAIN),
    "key_missing": ("The model server wants a key that this bot does not have.", _ADMINISTRATOR),
    "key_wrong": ("The model server does not accept this bot's key.", _ADMINISTRATOR),
    "config_invalid": ("The model server's configuration is wrong.", _ADMINISTRATOR),
}

_FULL = ("context length", "context size")
"""What llama-server and vLLM call it, before and within an answer."""

FULL = ("This conversation is too long for {model}.", "/new begins another one.")
FILE_GONE = ("file_gone", "A file that came with this question is not there any more.", "Send it again.")
TOO_LONG = ("too_long", "This took too long, and was given up.", "Ask for less at once, or choose a quicker model.")
DEFECT = ("defect", "Something went wrong here, and it is in the journal.", _ADMINISTRATOR)


def told(error: RouterError, model: str) -> Failed:
    """What the chat is told of a failure of the router or an engine."""
    _LOG.error("%s: %s %s", model, error, error.hint, extra={"MODEL": model})
    said, hint = words(error)
    return Failed(error.code, said.format(model=model), hint)


def is_full(message: str) -> bool:
    """Whether an engine says that a conversation is longer than its model can take."""
    return any(word in message.lower() for word in _FULL)


def words(error: RouterError) -> tuple[str, str]:
    """What happened, with `{model}` in it, and what to do, in words for people."""
    if error.code == "exceed_context_size_error" or is_full(error.message):
        return FULL
    return _WORDS.get(error.code, ("{model} could not answer that.", "Try /retry, or choose another with /model."))
