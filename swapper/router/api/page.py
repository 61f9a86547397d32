"""The page at /ui: models and states as a table, without scripts."""

from html import escape

from swapper.router.api.catalog import Catalog
from swapper.router.measured import Use

HEADERS = {
    # default-src says nothing about those three.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Refresh": "5",
}

_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .4rem .8rem .4rem 0; border-bottom: 1px solid #8884; vertical-align: top }
small { opacity: .7 }
"""


def render(catalog: Catalog) -> str:
    """The page as HTML."""
    rows = "\n".join(_row(catalog, model.name) for model in catalog.places.config.models)
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>Swapper</title><style>{_STYLE}</style><h1>Models</h1>"
        f"<table><thead><tr><th>Model<th>State<th>Requests<th>GPU<th>Unit</thead><tbody>{rows}</tbody></table>"
        f"{_gpus(catalog)}"
    )


def _gpus(catalog: Catalog) -> str:
    """A line for each GPU, as far as they can be seen."""
    cards = [card for gpu in catalog.scheduler.gpus if (card := catalog.measured.card(gpu.index)) is not None]
    return "".join(
        f"<p>GPU {card.index}, {escape(card.name)}: {_gib(card.used)} of {_gib(card.total)} in use" for card in cards
    )


def _gib(size: int | None) -> str:
    return "?" if size is None else f"{size / (1 << 30):.1f} GiB"


def _use(use: Use) -> str:
    """What a model has of a GPU, if that is known, and what it declared."""
    share = "all" if use.share >= 1 else f"{use.share:.0%}"
    measured = "" if use.measured is None else f", {_gib(use.measured)} in use"
    return f"{use.gpu}: {share}{measured}{' <strong>(more than declared)</strong>' if use.exceeds else ''}"


def _row(catalog: Catalog, name: str) -> str:
    model = catalog.places.config.resolve(name)
    record = catalog.scheduler.record(name)
    if model is None or record is None:
        return ""
    aliases = f"<br><small>{escape(', '.join(model.aliases))}</small>" if model.aliases else ""
    reason = f"<br><small>{escape(record.reason)}</small>" if record.reason not in {"", record.state} else ""
    requests = f"{len(record.leases)} running, {len(record.waiting)} waiting"
    uses = "<br>".join(map(_use, catalog.measured.uses(record, model.unit)))
    return (
        f"<tr><td>{escape(name)}{aliases}<td>{escape(record.state)}{reason}<td>{requests}<td>{uses}"
        f"<td><code>{escape(model.unit)}</code>"
    )
