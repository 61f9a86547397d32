"""Who sees little, or hears the page: contrast as WCAG 2.2 asks for it, and what Chromium tells a screen reader.

Success criteria 1.4.3 (text: 4.5 to 1) and 1.4.11 (what is to be seen without being text: 3 to 1) are at
https://www.w3.org/TR/WCAG22/#contrast-minimum and #non-text-contrast; the accessibility tree comes from the domain
Accessibility of the Chrome DevTools Protocol.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.job.house import ask, chat, state, stream
from tests.lab.browser import DESKTOP, PHONE, Page
from tests.ui.rig import Desk, live
from tests.ui.rig import state as sees_state

PAGES = ("", "#/models/devstral", "#/models/broken", "#/playground", "#/keys")

FAINT = """
(() => {
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const bytes = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [red, green, blue, alpha] = canvas.getImageData(0, 0, 1, 1).data;
    return [red, green, blue, alpha / 255];
  };
  const over = (front, back) => front.slice(0, 3).map((each, at) => each * front[3] + back[at] * (1 - front[3]));
  const luminance = (colour) => {
    const [red, green, blue] = colour.slice(0, 3).map((each) => each / 255)
      .map((each) => each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4);
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const contrast = (one, other) => {
    const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (light + 0.05) / (dark + 0.05);
  };
  const behind = (element) => {
    if (!element) return [255, 255, 255];
    const own = bytes(getComputedStyle(element).backgroundColor);
    return own[3] === 1 ? own : over(own, behind(element.parentElement));
  };
  const seen = (element) => element.checkVisibility({opacityProperty: true, visibilityProperty: true})
    && !element.closest(".unseen, .skip, option, noscript, [aria-disabled], :disabled, [data-stale]");
  const found = [];
  const judge = (what, element, colour, back, least) => {
    const ratio = contrast(over(bytes(colour), back), back);
    if (ratio < least) found.push(`${what} ${ratio.toFixed(2)}: ${element.outerHTML.slice(0, 160)}`);
  };
  let looked = 0;
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || !seen(element)) continue;
    looked += 1;
    judge("text", element, getComputedStyle(element).color, behind(element), 4.5);
  }
  for (const each of document.querySelectorAll("input:not([type=checkbox], [type=radio]), select, textarea")) {
    if (seen(each)) judge("edge", each, getComputedStyle(each).borderTopColor, behind(each.parentElement), 3);
  }
  for (const each of document.querySelectorAll(".badge")) {
    const dot = getComputedStyle(each, "::before");
    const hollow = bytes(dot.backgroundColor)[3] === 0;
    if (seen(each)) judge("dot", each, hollow ? dot.borderTopColor : dot.backgroundColor, behind(each), 3);
  }
  for (const each of document.querySelectorAll(".swatch, .dot, .piece:not(.others)")) {
    if (seen(each)) judge("colour", each, getComputedStyle(each).backgroundColor, behind(each.parentElement), 3);
  }
  for (const each of document.querySelectorAll("rect[data-state]")) {
    judge("stay", each, getComputedStyle(each).fill, behind(each.closest(".strip")), 3);
  }
  if (looked < 12) found.push(`only ${looked} texts`);
  return found;
})()
"""


@dataclass(frozen=True, slots=True)
class Told:
    """A thing of the page as a screen reader is told of it."""

    role: str
    name: str
    properties: dict[str, object]


def told(page: Page) -> list[Told]:
    """All that a screen reader is told, in the page's order."""
    nodes = {node["nodeId"]: node for node in page.call("Accessibility.getFullAXTree")["nodes"]}

    def walk(number: str) -> Iterator[Told]:
        node = nodes.get(number)
        if node is None:
            return
        if not node["ignored"]:
            properties = {each["name"]: each["value"].get("value") for each in node.get("properties", ())}
            value = node.get("value", {}).get("value")
            name = str(node.get("name", {}).get("value", "")).strip()
            yield Told(str(node["role"]["value"]), name, {**properties, "value": value})
        for child in node.get("childIds", ()):
            yield from walk(child)

    return list(walk(next(iter(nodes))))


def names(things: list[Told], role: str) -> list[str]:
    """What the things of a role are called."""
    return [thing.name for thing in things if thing.role == role]


@pytest.fixture
def busy(desk: Desk) -> Iterator[Desk]:
    """A host where much goes on at once: a model answers, one waits, one has failed, one has been unloaded."""
    assert chat("qwen3-8b").status == 200
    ask("POST", "/api/models/broken/load")
    with stream("devstral"):
        assert chat("gpt-oss").status == 200
        assert state("broken") == "failed"
        yield desk


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_all_that_is_to_be_read_stands_out(busy: Desk, *, dark: bool) -> None:
    for size in (DESKTOP, PHONE):
        for hash_ in PAGES:
            page = live(busy.open(hash_, size, dark=dark))
            page.wait("document.querySelector('main h1')")
            page.wait("location.hash !== '' || document.querySelector('.rows rect')")
            assert page.eval(FAINT) == [], f"{hash_} at {size}"


def test_faint_text_would_be_found(desk: Desk) -> None:
    page = live(desk.open())
    page.eval("document.documentElement.style.setProperty('--muted', '#aab')")
    assert any(each.startswith(("text 1.", "text 2.")) for each in page.eval(FAINT))


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_tables_are_tables_for_who_hears_them(busy: Desk, size: tuple[int, int]) -> None:
    page = live(busy.open(size=size))
    sees_state(page, "broken", "failed")
    things = told(page)
    assert {"Model", "State"} <= set(names(things, "columnheader"))
    headers = names(things, "rowheader")
    for model in ("devstral", "qwen3-8b", "broken"):
        assert sum(header.startswith(model) for header in headers) == 1, headers
    assert len(names(things, "row")) > len(headers)
    assert len(names(things, "cell")) > len(headers)


def test_what_a_screen_reader_says(busy: Desk) -> None:
    page = live(busy.open())
    sees_state(page, "broken", "failed")
    things = told(page)
    assert names(things, "RootWebArea") == [page.eval("document.title")]
    for landmark in ("banner", "navigation", "main"):
        assert len(names(things, landmark)) == 1, landmark
    levels = [int(str(thing.properties["level"])) for thing in things if thing.role == "heading"]
    assert levels[0] == 1
    assert all(now <= before + 1 for before, now in itertools.pairwise(levels)), levels
    assert names(things, "meter") == ["Memory of GPU 0", "Memory of GPU 1"]
    # The protocol's tree has their figures, and nothing of what they are called instead.
    said = page.eval("[...document.querySelectorAll('[role=meter]')].map((each) => each.ariaValueText)")
    assert said == ["100 % taken, as models declare it"] * 2
    assert {"Load devstral", "Unload devstral", "Load broken"} <= set(names(things, "button"))
    assert not [thing for thing in things if thing.role in {"button", "link", "textbox", "img", "graphics-document"}
                and not thing.name]  # fmt: skip
    pictures = names(things, "img") + names(things, "image")
    assert any(picture.startswith("qwen3-8b: 1 load, 1 request, 0 failures") for picture in pictures), pictures
    assert any(picture.startswith("broken: ") and picture.endswith("1 failure") for picture in pictures), pictures
