"""The playground: real models answer there, what they are sent comes from the page's own controls."""

from pathlib import Path

from tests.job.house import ask, sentence, stream, until
from tests.lab import media
from tests.lab.browser import Page
from tests.ui.rig import Desk, live

RESULT = "document.querySelector('output.result').textContent"
LAST = "document.querySelector('ol.talk li:last-child')"


def choose(model: str, of: str = "chat") -> str:
    """Choose a model, as a person with a keyboard would."""
    return f"""(() => {{
        const select = document.querySelector("#{of}-model");
        select.value = "{model}";
        select.dispatchEvent(new Event("change", {{bubbles: true}}));
        return select.value;
    }})() === "{model}" """


def told(desk: Desk, model: str, text: str) -> Page:
    """The playground, in which somebody has just sent a model this."""
    page = live(desk.open("#/playground"))
    page.wait(choose(model))
    page.click("#chat-text")
    page.type(text)
    page.press("Enter")
    return page


def recorded(page: Page, where: str) -> None:
    """Wait until a second has been recorded, or more: a busy browser may not show each of them."""
    page.wait(f"/Stop recording · [1-9]\\d* s/.test(document.querySelector('{where}').innerText)")


def test_a_chat_is_answered_as_it_comes_with_what_it_waited_for(desk: Desk) -> None:
    page = told(desk, "devstral", "Hello!")
    page.see(sentence("devstral"), "ol.talk")
    page.see("in all", "ol.talk")
    page.see("first word after", "ol.talk")
    page.type("And again")
    page.click("button[type=submit]")
    page.wait("document.querySelectorAll('ol.talk li').length === 4")
    page.see(sentence("devstral"), "ol.talk li:last-child")
    page.see("devstral has answered.", "#spoken")


def test_shift_and_enter_is_a_new_line_and_a_new_conversation_forgets(desk: Desk) -> None:
    page = live(desk.open("#/playground"))
    page.wait(choose("devstral"))
    page.click("#chat-text")
    page.type("one")
    page.press("Enter", shift=True)
    page.type("two")
    page.wait("document.querySelector('#chat-text').value === 'one\\ntwo'")
    page.press("Enter")
    page.see(sentence("devstral"), "ol.talk")
    page.eval("[...document.querySelectorAll('.ask button')].at(-1).click()")
    page.wait("document.querySelectorAll('ol.talk li').length === 0")


def test_an_answer_without_end_is_stopped(desk: Desk) -> None:
    page = told(desk, "devstral", "LOOP")
    page.wait(f"{LAST}.querySelector('p:not(details p)').textContent.length > 200")
    page.eval("[...document.querySelectorAll('.ask button')].find((each) => each.textContent === 'Stop').click()")
    page.see("stopped", "ol.talk")
    until(lambda: not ask("GET", "/api/requests").json["running"], "the router sees that nobody listens")


def test_what_an_engine_says_is_text_and_nothing_else(desk: Desk) -> None:
    page = told(desk, "devstral", "<img src=x onerror=\"window.hit=1\"><b>bold</b>")
    page.see("<b>bold</b>", "ol.talk")
    assert page.eval("document.querySelectorAll('ol.talk img, ol.talk b').length") == 0
    assert page.eval("window.hit === undefined")


def test_a_model_that_cannot_be_loaded_says_so_in_the_chat(desk: Desk) -> None:
    page = told(desk, "broken", "Hello!")
    page.see("llama@broken.service failed", "ol.talk .error")


def test_a_chat_that_waits_says_for_what(desk: Desk) -> None:
    page = live(desk.open("#/playground"))
    page.wait(choose("qwen3-8b"))
    with stream("devstral"):
        page.click("#chat-text")
        page.type("Hello!")
        page.press("Enter")
        page.wait(f"/makes? room|waits?|loading|ends/.test({LAST}.innerText)")
    page.see(sentence("qwen3-8b"), "ol.talk")


def test_a_picture_goes_along_with_a_question(desk: Desk, tmp_path: Path) -> None:
    picture = tmp_path / "red.png"
    picture.write_bytes(media.png())
    page = live(desk.open("#/playground"))
    page.wait(choose("devstral"))
    page.wait("document.querySelector('label[for=chat-files]').hidden")
    page.wait(choose("vision"))
    page.wait("!document.querySelector('label[for=chat-files]').hidden")
    page.fill("#chat-files", picture)
    page.wait("document.querySelector('ul.chosen img').naturalWidth > 0")
    page.click("#chat-text")
    page.type("What is this?")
    page.press("Enter")
    page.see(sentence("eye"), "ol.talk")
    page.wait("document.querySelector('ol.talk img').naturalWidth > 0")


def test_speech_is_written_down_from_a_file_and_from_the_microphone(desk: Desk, tmp_path: Path) -> None:
    sound = tmp_path / "voice.wav"
    sound.write_bytes(media.wav())
    page = live(desk.open("#/playground"))
    page.click("#tab-transcription")
    page.wait("document.querySelector('#transcription-model').value === 'asr'")  # before it is known, nobody would hear
    page.fill("#transcription-file", sound)
    page.see(sentence("ear"), "output.result")
    page.click("#panel-transcription button.microphone")
    recorded(page, "#panel-transcription")
    page.eval(f"""
        window.seen = [];
        new MutationObserver(() => seen.push({RESULT}))
            .observe(document.querySelector("output.result"), {{childList: true, characterData: true, subtree: true}});
        undefined""")
    page.click("#panel-transcription button.microphone")
    page.wait(f"seen[0] === '' && {RESULT}.includes({sentence('ear')!r})")
    page.wait("document.querySelector('#panel-transcription audio').duration > 0")


def test_who_speaks_to_a_model_that_does_not_hear_is_written_down_first(desk: Desk) -> None:
    page = live(desk.open("#/playground"))
    page.wait(choose("devstral"))
    page.click("#panel-chat button.microphone")
    recorded(page, "#panel-chat")
    page.click("#panel-chat button.microphone")
    page.wait(f"document.querySelector('#chat-text').value.includes({sentence('ear')!r})")


def test_text_is_spoken(desk: Desk) -> None:
    page = live(desk.open("#/playground"))
    page.click("#tab-speech")
    page.wait(choose("voice", "speech"))
    page.click("#panel-speech button[type=submit]")
    page.wait("document.querySelector('#panel-speech audio').readyState >= 1")
    assert page.eval("document.querySelector('#panel-speech audio').error === null")


def test_tabs_go_by_arrows(desk: Desk) -> None:
    page = live(desk.open("#/playground"))
    page.click("#tab-chat")
    page.press("ArrowRight")
    assert page.eval("document.activeElement.id") == "tab-transcription"
    assert page.eval("!document.querySelector('#panel-transcription').hidden")
    page.press("ArrowLeft")
    page.press("ArrowLeft")
    assert page.eval("document.activeElement.id") == "tab-speech"
    assert page.eval("document.querySelectorAll('[role=tabpanel]:not([hidden])').length") == 1
