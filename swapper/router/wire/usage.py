"""How many tokens a request took, as its engine says in the answer.

OpenAI's `usage` has `prompt_tokens` and `completion_tokens` (`input_tokens` and `output_tokens` in Responses, which
Anthropic's messages have too: the first in `message_start`, the second in the last `message_delta`). llama-server says
`prompt_n`, what is cached not counted, and `predicted_n` in `timings`, also where a stream was not asked for its usage.

Within what a model says quotes are escaped, so none of this can stand there.
"""

import re

WINDOW = 8 * 1024
"""Bytes at the beginning and at the end of an answer in which it is looked for."""

_IN = re.compile(rb'"(?:prompt_tokens|input_tokens)" ?: ?([0-9]{1,9})')
_OUT = re.compile(rb'"(?:completion_tokens|output_tokens)" ?: ?([0-9]{1,9})')
_TIMED = re.compile(rb'"cache_n" ?: ?([0-9]{1,9}), ?"prompt_n" ?: ?([0-9]{1,9}).{0,400}?"predicted_n" ?: ?([0-9]{1,9})')


def tokens(first: bytes, last: bytes) -> tuple[int | None, int | None]:
    """Tokens of the prompt and of the answer; None where the engine did not say.

    Args:
        first: The beginning of the answer.
        last: Its end.
    """
    last = last[-WINDOW:]
    read, written = _last(_IN, last), _last(_OUT, last)
    if read is None and written is not None:
        read = _last(_IN, first[:WINDOW])
    if read is None and written is None and (timed := _TIMED.search(last)) is not None:
        return int(timed[1]) + int(timed[2]), int(timed[3])
    return read, written


def _last(pattern: re.Pattern[bytes], data: bytes) -> int | None:
    found = pattern.findall(data)
    return int(found[-1]) if found else None
