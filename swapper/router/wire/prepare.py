"""A body on its way to the engine: filters applied, media in the place of their URLs. Most bodies need neither."""

from collections.abc import Sequence

from swapper.config import Filters
from swapper.router.wire.body import Body, Segment, Spool, Store, splice
from swapper.router.wire.filters import Edit, FilterScanner
from swapper.router.wire.found import MediaRef
from swapper.router.wire.ports import MediaSource


def filtered(data: bytes, filters: Filters) -> bytes:
    """A JSON body that is held in memory, as the filters want it."""
    scanner = FilterScanner(filters)
    scanner.feed(data)
    pieces, position = [], 0
    for edit in scanner.edits():
        pieces += [data[position : edit.start], edit.instead]
        position = edit.end
    return b"".join((*pieces, data[position:]))


async def prepare(
    spool: Spool, source: MediaSource, store: Store, refs: Sequence[MediaRef], filters: Filters | None
) -> Body:
    """The body to send.

    Args:
        spool: Where the store keeps its file.
        source: Fetches media.
        store: Has the body as it came; settled.
        refs: Media that it names by URL.
        filters: What is changed in it.

    Raises:
        ApiError: A medium cannot be had.
    """
    edits = await _edits(spool, store, filters) if filters is not None else ()
    wanted = [ref for ref in refs if not any(edit.start <= ref.start < edit.end for edit in edits)]
    replacements: list[tuple[int, int, Sequence[Segment]]] = [(edit.start, edit.end, (edit.instead,)) for edit in edits]
    fetched = await source.fetch(tuple(dict.fromkeys(ref.url for ref in wanted)), store.size) if wanted else {}
    replacements += [(ref.start, ref.end, fetched[ref.url].segments()) for ref in wanted]
    body = splice(spool, store, sorted(replacements, key=lambda replacement: replacement[:2]))
    for media in fetched.values():
        media.close()
    return body


async def _edits(spool: Spool, store: Store, filters: Filters) -> tuple[Edit, ...]:
    scanner = FilterScanner(filters)
    body = splice(spool, store, ())
    try:
        async for block in body.blocks():
            scanner.feed(block)
    finally:
        body.close()
    return scanner.edits()
