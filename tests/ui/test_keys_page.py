"""Keys in the browser: the page asks for one, keeps it in its tab, and shows what it opens."""

import pytest

from tests.job.house import question
from tests.job.keys import ALICE, KEYS, PLAIN, ROOT, bearer, knock, restart
from tests.lab.browser import Page
from tests.ui.rig import Desk, live, state


@pytest.fixture(autouse=True)
def _keyed(_clean: None) -> None:
    PLAIN.write_text(KEYS)
    restart()


def enter(page: Page, key: str) -> None:
    """Type it into the dialog."""
    page.wait("document.querySelector('#key-dialog').open")
    page.eval("document.querySelector('#key-input').value = ''")
    page.click("#key-input")
    page.type(key)
    page.press("Enter")


def test_the_page_asks_for_a_key_and_keeps_it_in_its_tab(desk: Desk) -> None:
    page = desk.open()
    page.see("This port wants a key", "#key-dialog")
    assert "devstral" not in page.text("body")
    enter(page, "a-key-that-is-nobodys")
    page.see("not known here", "#key-error")
    enter(page, ROOT)
    live(page)
    page.see("root (admin)", "header")
    page.reload()
    live(page)
    assert page.eval("sessionStorage.length") == 1
    assert page.eval("document.cookie + JSON.stringify(localStorage)").find(ROOT) == -1
    other = desk.open()
    other.wait("document.querySelector('#key-dialog').open")


def test_whoever_says_not_now_has_a_button(desk: Desk) -> None:
    page = desk.open()
    page.wait("document.querySelector('#key-dialog').open")
    page.press("Escape")
    page.see("Locked", "#connection")
    page.see("This port wants a key", "#empty")
    page.click("#who")
    enter(page, ROOT)
    live(page)


def test_a_key_for_inference_looks_and_does_not_touch(desk: Desk) -> None:
    page = live(desk.open(session={"swapper.key": ALICE}))
    page.see("alice (looks only)", "header")
    state(page, "devstral", "stopped")
    assert page.eval("document.querySelectorAll('[data-do]:not([aria-disabled])').length") == 0
    page.go(page.eval("location.origin") + "/ui#/models/devstral")
    page.see("for inference only", "#h-journal ~ *")
    page.see("for inference only", "#h-unit ~ *")
    page.go(page.eval("location.origin") + "/ui#/playground")
    page.wait("document.querySelector('#chat-model option')?.value === 'devstral'")
    page.click("#chat-text")
    page.type("Hello!")
    page.press("Enter")
    page.see("This is devstral speaking.", "ol.talk")


def test_usage_is_shown_key_by_key(desk: Desk) -> None:
    for key in (ALICE, ALICE, ROOT):
        assert knock("POST", "/v1/chat/completions", bearer(key), question("devstral")).status == 200
    assert knock("POST", "/v1/chat/completions", bearer(ALICE), question("nobody")).status == 404
    page = live(desk.open("#/keys", session={"swapper.key": ROOT}))
    page.see("alice", "div.keys")
    totals = "[...document.querySelectorAll('div.keys tfoot tr')]"
    page.wait(f"{totals}.some((row) => row.cells[1].innerText === '3')")  # the last one may just be being noted
    alice, root = page.eval(f"{totals}.map((row) => [...row.cells].map((cell) => cell.innerText))")
    assert alice[:3] == ["All", "3", "1"]
    assert root[:3] == ["All", "1", "0"]
    assert int(alice[4]) > 0, "the engine counts tokens"
    own = live(desk.open("#/keys", session={"swapper.key": ALICE}))
    own.see("alice", "div.keys")
    assert "root" not in own.text("div.keys")


def test_without_keys_the_page_says_so(desk: Desk) -> None:
    PLAIN.unlink()
    restart()
    page = live(desk.open("#/keys"))
    page.see("There are no keys", "main")
