"""The first page: it shows what there is as it changes, and does what is clicked."""

import contextlib

from tests.job.house import chat, rest_of, run, sentence, show, stream
from tests.job.house import state as state_of
from tests.lab.browser import PHONE
from tests.ui.rig import Desk, asked, live, state


def test_a_model_is_loaded_and_unloaded_by_its_buttons(desk: Desk) -> None:
    page = live(desk.open())
    state(page, "devstral", "stopped")
    page.click("button[aria-label='Load devstral']")
    state(page, "devstral", "ready")
    assert state_of("devstral") == "ready"
    page.see("devstral", "ul.gpus")
    page.click("button[aria-label='Unload devstral']")
    state(page, "devstral", "stopped")
    assert show("llama@devstral", "ActiveState") == "inactive"
    page.wait("!document.querySelector('ul.gpus').innerText.includes('devstral')")


def test_what_cannot_be_done_now_is_not_done(desk: Desk) -> None:
    page = live(desk.open())
    state(page, "devstral", "stopped")
    assert page.eval("document.querySelector(\"button[aria-label='Unload devstral']\").ariaDisabled") == "true"
    asked = len([url for url in page.asked if url.endswith("/unload")])
    page.click("button[aria-label='Unload devstral']")
    page.click("button[aria-label='Load devstral']")
    state(page, "devstral", "ready")
    assert len([url for url in page.asked if url.endswith("/unload")]) == asked
    assert page.eval("document.querySelectorAll('[data-do=park]:not([hidden])').length") == 0, "nobody parks here"


def test_a_swap_is_seen_from_the_queue_to_the_end(desk: Desk) -> None:
    page = live(desk.open())
    with contextlib.ExitStack() as client:
        client.enter_context(stream("devstral"))
        state(page, "devstral", "ready")
        page.see("is answered", "table.requests")
        waiting = asked("qwen3-8b")
        page.see("qwen3-8b", "ol.queue")
        page.see("waits for the model", "table.requests")
        state(page, "devstral", "draining")
    state(page, "qwen3-8b", "ready")
    state(page, "devstral", "stopped")
    with contextlib.closing(waiting):
        assert sentence("qwen3-8b").encode() in waiting.getresponse().read()
    page.see("No model waits for a place.")
    rows = "[...document.querySelectorAll('.rows li')]"
    for model in ("devstral", "qwen3-8b"):
        row = f"{rows}.find((row) => row.querySelector('a').textContent === '{model}')"
        for what in ("serving", "starting"):
            page.wait(f"{row}.querySelector('rect[data-state={what}]')")
    assert page.eval(f"{rows}.map((row) => row.querySelector('a').textContent)") == ["devstral", "qwen3-8b"]


def test_a_request_is_cancelled_by_its_button(desk: Desk) -> None:
    page = live(desk.open())
    with stream("devstral") as going:
        page.click("button[aria-label^='Cancel request']")
        rest, whole = rest_of(going)
    assert b"request_cancelled" in rest
    assert not whole
    page.see("200 request_cancelled", "details table.requests")
    page.see("No request is under way.")


def test_a_failure_says_why(desk: Desk) -> None:
    page = live(desk.open())
    # What was told goes by itself after some seconds, which may be over before all of this has been looked at.
    page.eval("""
        const after = window.setTimeout;
        window.setTimeout = (work, wait, ...rest) => wait === 15_000 ? 0 : after(work, wait, ...rest);
        undefined""")
    page.click("button[aria-label='Load broken']")
    state(page, "broken", "failed")
    page.see("llama@broken.service failed", "table.models")
    page.see("llama@broken.service failed", "#alerts")
    page.see("is failed", "#spoken")
    page.wait("document.querySelectorAll('.rows rect[data-state=failed]').length")
    page.click("#alerts button")
    page.wait("!document.querySelector('#alerts').children.length")


def test_the_hour_may_be_looked_at_more_closely_and_read_as_a_list(desk: Desk) -> None:
    chat("devstral")
    page = live(desk.open())
    page.wait("document.querySelectorAll('.rows rect').length")
    rects = "[...document.querySelectorAll('.rows rect[data-state=ready]')]"
    wide = f"Math.max(...{rects}.map((rect) => Number(rect.getAttribute('width'))))"
    before = page.eval(wide)
    page.click("input[name=span][value='5']")
    page.wait(f"{wide} > {before}")
    page.click(".timeline summary")
    page.see("starting", ".timeline details table")


def test_who_looks_keeps_the_focus_whatever_changes(desk: Desk) -> None:
    page = live(desk.open())
    page.click("button[aria-label='Load gpt-oss']")
    state(page, "gpt-oss", "ready")
    page.eval("window.before = document.activeElement; before.focus()")
    for model in ("devstral", "qwen3-8b"):
        assert chat(model).content == sentence(model)
        state(page, model, "ready")
    assert page.eval("document.activeElement === window.before && before.isConnected")
    assert page.eval("document.activeElement.ariaLabel") == "Load gpt-oss"


def test_it_is_all_there_for_the_keyboard(desk: Desk) -> None:
    page = live(desk.open())
    page.press("Tab")
    assert page.eval("document.activeElement.className") == "skip"
    page.press("Enter")
    page.wait("document.activeElement.id === 'main'")
    reached = set()
    for _ in range(60):
        page.press("Tab")
        reached.add(page.eval("document.activeElement.ariaLabel ?? document.activeElement.textContent"))
    assert {"Load devstral", "Unload devstral", "Load voice", "devstral"} <= reached
    page.eval("document.querySelector(\"button[aria-label='Load voice']\").focus()")
    page.press("Enter")
    state(page, "voice", "ready")


NAMELESS = """
[...document.querySelectorAll("button, a, input, select, textarea, table, svg[role=img], [role=meter], [tabindex='0']")]
  .filter((each) => each.offsetParent || each instanceof SVGElement)
  .filter((each) => !(each.ariaLabel || each.textContent.trim() || each.labels?.length
    || each.getAttribute("aria-labelledby")))
  .map((each) => each.outerHTML.slice(0, 200))
"""


def test_everything_has_a_name_and_a_place_for_who_hears_it(desk: Desk) -> None:
    chat("devstral")
    for hash_ in ("", "#/models/devstral", "#/playground", "#/keys"):
        page = live(desk.open(hash_))
        page.wait("document.querySelector('main h1')")
        assert page.eval(NAMELESS) == [], hash_
        assert page.eval("document.querySelectorAll('main, header, nav[aria-label], main h1').length") == 4
        assert page.eval("document.documentElement.lang") == "en"
        assert page.eval("new Set([...document.querySelectorAll('[id]')].map((each) => each.id)).size"
                         " === document.querySelectorAll('[id]').length")  # fmt: skip
        titled = "(each) => document.getElementById(each.getAttribute('aria-labelledby'))"
        assert page.eval(f"[...document.querySelectorAll('section')].every({titled})")


def test_on_a_phone_nothing_is_wider_than_the_screen(desk: Desk) -> None:
    with stream("devstral"):
        for hash_ in ("", "#/models/devstral", "#/playground", "#/keys"):
            page = live(desk.open(hash_, PHONE))
            page.wait("document.querySelector('main h1')")
            assert page.eval("document.documentElement.scrollWidth") <= PHONE[0], hash_


def test_it_goes_on_when_the_router_was_restarted(desk: Desk) -> None:
    page = live(desk.open())
    page.click("button[aria-label='Load devstral']")
    state(page, "devstral", "ready")
    page.eval("""
        window.seen = [];
        new MutationObserver(() => seen.push(document.querySelector("#connection").dataset.is))
            .observe(document.querySelector("#connection"), {attributes: true});
        undefined""")
    engine = show("llama@devstral", "MainPID")
    run("systemctl", "restart", "swapper")
    page.wait("seen.includes('lost') && seen.at(-1) === 'open'")
    state(page, "devstral", "ready")
    assert show("llama@devstral", "MainPID") == engine
    page.click("button[aria-label='Unload devstral']")
    state(page, "devstral", "stopped")


def test_a_router_that_is_stopped_for_a_while_is_told_of_and_found_again(desk: Desk) -> None:
    page = live(desk.open())
    run("systemctl", "stop", "swapper.socket", "swapper.service")
    page.see("Router not there", "#connection")
    run("systemctl", "start", "swapper.socket")
    live(page)
    page.click("button[aria-label='Load voice']")
    state(page, "voice", "ready")


def test_light_and_dark_are_the_systems_or_the_buttons(desk: Desk) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    light, dark = (live(desk.open(dark=dark)).eval(background) for dark in (False, True))
    assert light != dark
    page = live(desk.open())
    page.click("#theme")
    page.click("#theme")
    page.wait(f"{background} === '{dark}'")
    page.reload()
    page.wait(f"{background} === '{dark}'")
    page.click("#theme")
    page.wait(f"{background} === '{light}'")


def test_the_first_paint_is_small_and_comes_once(desk: Desk) -> None:
    page = live(desk.open())
    page.reload(anew=True)
    live(page)
    sizes = """Object.fromEntries(["navigation", "resource"].flatMap((kind) => performance.getEntriesByType(kind))
        .filter((each) => !each.name.includes("/api/")).map((each) => [each.name, each.transferSize]))"""
    first = page.eval(sizes)
    assert 10_000 < sum(first.values()) < 100 * 1024, first
    page.wait("performance.getEntriesByName('first-contentful-paint').length === 1")
    page.reload()
    live(page)
    again = page.eval(sizes)
    assert sum(again.values()) < sum(first.values()) / 2, "nothing is sent twice"
