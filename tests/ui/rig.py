"""The models that the dashboard shows here, and pages of it in the browser."""

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.job import house
from tests.lab.browser import DESKTOP, Browser, Page
from tests.media import sight

URL = "http://localhost:8000/ui"
CONFIG = """
gpus: {0: {memory: 24GiB}, 1: {memory: 80GiB}}
models:
  devstral: {engine: llama, model: devstral.gguf, context: 65536, aliases: [code, coder]}
  qwen3-8b: {engine: llama, model: qwen3-8b.gguf, context: 2048, ttl: 30m}
  vision: {engine: llama, model: eye.gguf, mmproj: vision.mmproj.gguf, context: 4096}
  asr: {engine: llama, model: ear.gguf, mmproj: audio.mmproj.gguf, context: 4096, capabilities: [transcription, audio]}
  gpt-oss: {engine: llama, model: gpt-oss.gguf, context: 2048, gpu: 1}
  broken: {engine: llama, model: gpt-oss.gguf, gpu: 1, args: [--no-such-option]}
  downloading: {engine: llama, model: downloading.gguf, gpu: 1}
  voice: {engine: speech, aliases: [tts]}
"""


def configure() -> None:
    """Put the models in place."""
    for name in ("devstral", "qwen3-8b", "gpt-oss"):
        house.write_gguf(name)
    sight.write_models()
    house.configure(CONFIG)


@dataclass
class Desk:
    """Somebody who looks at pages. What went wrong in any of them is found at the end."""

    browser: Browser
    pages: list[Page] = field(default_factory=list)

    def open(
        self, hash_: str = "", size: tuple[int, int] = DESKTOP, *, dark: bool = False,
        session: Mapping[str, str] | None = None,
    ) -> Page:  # fmt: skip
        """Open a page, and wait until it follows the router."""
        page = self.browser.page(URL + hash_, size, dark=dark, session=session)
        self.pages.append(page)
        return page

    def close(self) -> None:
        """Close all pages; the test fails where one had trouble, or asked somebody else for something."""
        for page in self.pages:
            elsewhere = [url for url in page.asked if not url.startswith(("http://localhost:8000/", "blob:", "data:"))]
            page.close()
            assert page.trouble == []
            assert elsewhere == []


def live(page: Page) -> Page:
    """Wait until the page follows the router, and knows of the models: an address with a page has it a moment later."""
    page.wait("document.querySelector('#connection').dataset.is === 'open'")
    page.wait("document.querySelector('#empty').hidden")
    page.wait("document.querySelectorAll('table.models tbody tr').length || location.hash.length > 2")
    return page


def state(page: Page, model: str, wanted: str) -> None:
    """Wait until the overview shows a model in this state."""
    page.wait(f"""[...document.querySelectorAll("table.models tbody tr")].some(
        (row) => row.querySelector(".model").textContent === "{model}"
            && row.querySelector(".badge").dataset.state === "{wanted}")""")


def asked(model: str) -> http.client.HTTPConnection:
    """Somebody who asks a model, and reads the answer at the end: until then nobody's patience runs out."""
    connection = house.connect()
    body = json.dumps(house.question(model))
    connection.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
    return connection
