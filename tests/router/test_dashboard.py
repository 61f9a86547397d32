"""The dashboard asks for nothing that nobody tells. What engines tell is asked of real ones (tests/job, tests/vllm)."""

from swapper.router.api import families
from swapper.router.api.metrics import encode
from swapper.router.stats import Stats
from tests.lab import dashboard
from tests.lab.exposition import Scraped

ENGINES = ("llamacpp:", "vllm:")


def test_every_metric_of_the_router_that_is_asked_for_is_there() -> None:
    text, _ = encode(Stats(lambda _: False).counts(), families.Now((), 0, 0, 0), (), "")
    asked = {name for name in dashboard.asked() if not name.startswith(ENGINES)}
    assert len(asked) > 20
    assert asked - dashboard.given(Scraped.read(text.decode())) == set()


def test_every_metric_of_the_router_is_shown() -> None:
    text, _ = encode(Stats(lambda _: False).counts(), families.Now((), 0, 0, 0), (), "")
    asked = dashboard.asked()
    unseen = {
        family
        for family, kind in Scraped.read(text.decode()).families.items()
        if family.startswith("swapper_")
        and not asked & {family + suffix for suffix in dashboard.SUFFIXES.get(kind, ("",))}
    }
    assert unseen == set()


def test_panels_do_not_overlap_and_ask_the_data_source_that_was_chosen() -> None:
    panels = dashboard.load()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert max(x for x, _ in cells) < 24
        assert not cells & taken, panel["title"]
        taken |= cells
        assert panel["type"] == "row" or panel["datasource"]["uid"] == "${datasource}"
