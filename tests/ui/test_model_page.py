"""One model's page: what systemd has of it, its settings, its journal as it is written."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.job import house
from tests.job.house import chat, run, sentence, show
from tests.ui.rig import Desk, live

OVERRIDE = Path("/etc/systemd/system/llama@devstral.service.d/override.conf")


@pytest.fixture
def override() -> Iterator[Path]:
    """Where `systemctl edit` would write."""
    OVERRIDE.parent.mkdir(parents=True, exist_ok=True)
    yield OVERRIDE
    OVERRIDE.unlink(missing_ok=True)
    OVERRIDE.parent.rmdir()
    run("systemctl", "daemon-reload")


def test_the_unit_is_shown_as_systemctl_cat_prints_it(desk: Desk, override: Path) -> None:
    page = live(desk.open("#/models/devstral"))
    page.see("[Service]", ".files")
    override.write_text("[Service]\nNice=7\n")
    run("systemctl", "daemon-reload")
    page.click("#h-unit ~ div button")
    page.see("Nice=7", ".files")
    files = "[...document.querySelectorAll('.files details')]"
    parts = "(each) => [each.querySelector('summary').innerText.trim(), each.querySelector('pre').textContent]"
    shown = page.eval(f"{files}.map({parts})")
    printed = run("systemctl", "cat", "llama@devstral.service")
    assert [f"# {path}" for path, _ in shown] == [line for line in printed.splitlines() if line.startswith("# /")]
    for path, text in shown:
        assert text == Path(path).read_text()
        assert text.strip() in printed


def test_a_file_that_changed_since_is_told_of(desk: Desk, override: Path) -> None:
    override.write_text("[Service]\nNice=7\n")
    run("systemctl", "daemon-reload")
    chat("devstral")
    override.write_text("[Service]\nNice=9\n")
    page = live(desk.open("#/models/devstral"))
    page.see("systemctl daemon-reload", "#main")


def test_settings_say_where_they_come_from(desk: Desk, override: Path) -> None:
    override.write_text("[Service]\nEnvironment=CUDA_VISIBLE_DEVICES=1\n")
    run("systemctl", "daemon-reload")
    chat("devstral")
    page = live(desk.open("#/models/devstral"))
    rows = "[...document.querySelectorAll('table.settings tbody tr')]"
    page.wait(f"{rows}.some((row) => row.dataset.source === 'unit')")
    cells = "(row) => [...row.cells].map((cell) => cell.textContent)"
    said = {name: f"{value} | {source}" for name, value, source in page.eval(f"{rows}.map({cells})")}
    assert said["gpu"] == "1 | systemd unit: CUDA_VISIBLE_DEVICES of llama@devstral.service"
    assert said["context"] == "65536 | configuration: /etc/swapper/swapper.yaml:4"
    assert said["ttl"] == "never | default"
    assert said["concurrency"].endswith("| engine")
    hidden = f"{rows}.filter((row) => row.offsetParent === null).length"
    assert page.eval(hidden) > 10
    page.click("#main input[type=checkbox]")
    page.wait(f"{hidden} === 0")


def test_the_journal_goes_on_as_it_is_written(desk: Desk) -> None:
    # What the tests before have left there has the same words, and more lines than are shown of old ones.
    run("journalctl", "--rotate")
    run("journalctl", "--vacuum-time=1s")
    page = live(desk.open("#/models/devstral"))
    page.wait("document.querySelector('.badge').textContent === 'stopped'")
    page.click("button[aria-label='Load devstral']")
    page.wait("document.querySelector('.badge').textContent === 'ready'")
    page.wait("document.querySelector('pre.journal').textContent.includes('listening')")
    page.see(show("llama@devstral", "StatusText"), "dl.facts")
    page.click("#main section button")  # pauses
    page.see("paused", "#main")
    lines = page.eval("document.querySelector('pre.journal').childElementCount")
    assert chat("devstral").content == sentence("devstral")
    page.see("0 running", "dl.facts")
    assert page.eval("document.querySelector('pre.journal').childElementCount") == lines
    page.click("#main section button")
    page.wait(f"document.querySelector('pre.journal').childElementCount > {lines}")


def test_what_somebody_reads_in_the_journal_stays_where_it_is(desk: Desk) -> None:
    chat("devstral")
    page = live(desk.open("#/models/devstral"))
    page.wait("(() => { const log = document.querySelector('pre.journal');"
              " return log.scrollHeight > log.clientHeight + 100 && log.scrollTop > 50; })()")  # fmt: skip
    page.eval("document.querySelector('pre.journal').scrollTop = 0")
    lines = page.eval("document.querySelector('pre.journal').childElementCount")
    chat("devstral")
    page.wait(f"document.querySelector('pre.journal').childElementCount > {lines}")
    assert page.eval("document.querySelector('pre.journal').scrollTop") == 0


def test_a_failure_is_explained_with_the_engines_own_words(desk: Desk) -> None:
    page = live(desk.open("#/models/broken"))
    page.click("button[aria-label='Load broken']")
    page.see("llama@broken.service failed", "#main .notice.bad")
    page.see("no-such-option", "pre.journal")


def test_a_name_that_nobody_configured(desk: Desk) -> None:
    page = live(desk.open("#/models/no%2Fsuch%3Cb%3E"))
    page.see("No model no/such<b> is configured.")


def test_a_name_with_a_slash_has_a_page(desk: Desk) -> None:
    house.configure("models:\n  Qwen/VL: {engine: llama, model: devstral.gguf, context: 512}\n")
    page = live(desk.open())
    page.click("table.models a")
    page.see("Qwen/VL", "h1:not(.unseen)")
    page.see("[Service]", ".files")
    page.click("button[aria-label='Load Qwen/VL']")
    page.wait("document.querySelector('.badge').textContent === 'ready'")
