"""fetch_page: what a public web page says.

Who names the address may be the model, or a page that talked it into it: so it has to be on the public internet, every
redirect's too (`outside.door`), and nothing of ours goes along but the address itself.
"""

import asyncio
from collections.abc import Mapping, Sequence

from aiohttp import ClientError, ClientResponse

from swapper.client import Model
from swapper.outside.addresses import Allowed
from swapper.outside.door import Door, Lookup, RedirectError, RefusedError, lookup, short
from swapper.telegram.agent.choose import Wished
from swapper.telegram.agent.html import charset, readable
from swapper.telegram.agent.shelf import Shelf
from swapper.telegram.agent.tools.base import Arguments, Bench, Result, Say, ToolError, schema, string, text

SECONDS = 30.0
MOST_BYTES = 1024 * 1024
"""Of a page: what is made to be slow to read is slow within bounds."""

_PAGES = frozenset({"text/html", "application/xhtml+xml"})
_TEXTS = frozenset({"application/json", "application/xml", "application/yaml", "application/javascript"})


def page_door(allowed: Allowed, look_up: Lookup = lookup) -> Door:
    """The door for pages; call within the loop."""
    headers = {"User-Agent": "swapper", "Accept": "text/html, text/*;q=0.9, application/json;q=0.8",
               "Accept-Encoding": "identity"}  # fmt: skip
    return Door(allowed, headers, look_up)


class FetchPage:
    """The tool."""

    name = "fetch_page"
    description = "Read a public web page: its text, without pictures. It cannot send anything, or log in."
    parameters: Mapping[str, object] = schema(["url"], url=string("The address, with http:// or https://."))

    def useful(self, shelf: Shelf, models: Sequence[Model], wished: Wished) -> bool:
        """Always."""
        del shelf, models, wished
        return True

    async def run(self, bench: Bench, shelf: Shelf, arguments: Arguments, say: Say) -> Result:
        """See `Tool`."""
        del shelf
        url = text(arguments, "url").strip()
        say(f"reading {short(url)}")
        return Result(await fetch(bench.door, url), f"page {short(url)}")


async def fetch(door: Door, url: str) -> str:
    """The text of a page.

    Raises:
        ToolError: It cannot be had.
    """
    try:
        async with asyncio.timeout(SECONDS), door.get(url) as answer:
            kind, body = await _body(url, answer)
            said = answer.headers.get("Content-Type", "")
    except (RefusedError, RedirectError) as error:
        raise ToolError(str(error)) from error
    except TimeoutError as error:
        raise ToolError(f"{short(url)} did not come within {SECONDS:g} s.") from error
    except (ClientError, OSError) as error:
        raise ToolError(f"{short(url)} cannot be fetched: {error}.") from error
    page = body.decode(charset(said, body), errors="replace")
    if kind not in _PAGES:
        return page
    title, words = await asyncio.to_thread(readable, page)
    return f"{title}\n\n{words}" if title else words


async def _body(url: str, answer: ClientResponse) -> tuple[str, bytes]:
    """The media type, and as much of the page as is read."""
    kind = answer.headers.get("Content-Type", "text/html").partition(";")[0].strip().lower()
    if answer.status != 200:
        raise ToolError(f"{short(url)} answers {answer.status}.")
    if kind not in _PAGES | _TEXTS and not kind.startswith("text/"):
        raise ToolError(f"{short(url)} is {kind[:60]}, which is no text.")
    if answer.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise ToolError(f"{short(url)} comes in an encoding that was not asked for.")
    body = bytearray()
    async for block in answer.content.iter_chunked(64 * 1024):
        body += block
        if len(body) > MOST_BYTES:
            break
    return kind, bytes(body[:MOST_BYTES])
