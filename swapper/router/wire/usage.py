"""How many tokens a request took, as its engine says in the answer.

OpenAI's `usage` has `prompt_tokens` and `completion_tokens` (`input_tokens` and `output_tokens` in Responses, which
Anthropic's messages have too: the first in `message_start`, the second in the last `message_delta`). llama-server says
`prompt_n`, what is cached not counted, and `predicted_n` in `timings`, also where a stream was not asked for its usage.

Within what a model says quotes are escaped, so none of this can stand there.
"""

import re

WINDOW = 8 * 1024
"""Bytes at the end of an answer in which it is looked for, and at its beginning where it is not there."""

_USAGE = b'"usage"'
_LENGTH = 600
_IN = re.compile(rb'"(?:prompt|input)_tokens" ?: ?([0-9]{1,9})')
_OUT = re.compile(rb'"(?:completion|output)_tokens" ?: ?([0-9]{1,9})')
_TIMED = re.compile(rb'"cache_n" ?: ?([0-9]{1,9}), ?"prompt_n" ?: ?([0-9]{1,9}).{0,400}?"predicted_n" ?: ?([0-9]{1,9})')


def tokens(first: bytes, last: bytes) -> tuple[int | None, int | None]:
    """Tokens of the prompt and of the answer; None where the engine did not say.

    Args:
        first: The beginning of the answer.
        last: Its end.
    """
    last = last[-WINDOW:]
    read, written = _usage(last, last.rfind(_USAGE))
    if read is not None:
        return read, written
    if written is None and (timed := _TIMED.search(last)) is not None:
        return int(timed[1]) + int(timed[2]), int(timed[3])
    early = _usage(first, first.find(_USAGE, 0, WINDOW))
    return early[0], written if written is not None else early[1]


def _usage(data: bytes, at: int) -> tuple[int | None, int | None]:
    if at < 0:
        return None, None
    read, written = _IN.search(data, at, at + _LENGTH), _OUT.search(data, at, at + _LENGTH)
    return int(read[1]) if read else None, int(written[1]) if written else None
