"""A real Chromium without a screen, driven over the Chrome DevTools Protocol with aiohttp: no driver, no library of it.

A page is used as a person uses it: clicks go to where an element is, keys to where the focus is, and waiting is for
what can be seen. What goes wrong in it (exceptions, refusals of the content security policy, errors in the console) is
kept in `Page.trouble`. The protocol is at https://chromedevtools.github.io/devtools-protocol/ (domains Target, Page,
Runtime, Input, Network, Emulation, Log).
"""

import asyncio
import base64
import itertools
import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Coroutine, Mapping
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp

PROGRAM = os.environ.get("SWAPPER_TEST_CHROMIUM") or shutil.which("chromium") or ""
"""Chromium; empty where there is none."""

PATIENCE = 60.0
"""Seconds after which a test that waits for something has failed."""

DESKTOP, PHONE = (1280, 900), (390, 844)
"""Width and height of windows, in CSS pixels."""

_OPTIONS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--mute-audio",
    "--disable-background-networking", "--disable-component-update", "--disable-default-apps", "--disable-sync",
    "--hide-scrollbars", "--force-color-profile=srgb", "--remote-debugging-port=0", "--remote-allow-origins=*",
    "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
)  # fmt: skip

_WAIT = """
new Promise((resolve, reject) => {
  const look = () => {
    let found;
    try { found = (%s); } catch { found = undefined; }
    if (found) { end(); resolve(found); }
  };
  const end = () => { observer.disconnect(); clearInterval(timer); clearTimeout(limit); };
  const observer = new MutationObserver(look);
  observer.observe(document, {subtree: true, childList: true, attributes: true, characterData: true});
  const timer = setInterval(look, 200);  // for what is no change of the document
  const limit = setTimeout(() => { end(); reject(new Error("it never came to be")); }, %d);
  look();
})
"""

_AIM = """
(() => {
  const element = document.querySelector(%s);
  element.scrollIntoView({block: "center"});
  const box = element.getBoundingClientRect();
  const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
  const top = document.elementFromPoint(x, y);
  if (!box.width || !(element.contains(top) || top?.contains(element))) return false;
  window.met = false;
  // Before all that the page has of its own, which may keep the click to itself, or take the element away.
  const note = ({target}) => { window.met ||= target === top || element.contains(target); };
  window.addEventListener("click", note, {capture: true, once: true});
  return [x, y];
})()
"""
"""Where an element is to be hit; and from then on `met` says whether the next click met it."""

_MEANWHILE = ("navigated", "destroyed", "Cannot find")
"""What is said of a document in whose place another one comes just then."""

_KEYS = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32, "ArrowLeft": 37, "ArrowRight": 39}

type Params = Mapping[str, object]


class BrowserError(Exception):
    """The browser could not do it."""


class Browser:
    """A Chromium, with a profile that it forgets. Its loop has a thread of its own; all here is called from others."""

    def __init__(self) -> None:
        self._ids = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._pages: dict[str, Page] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="browser", daemon=True)
        self._profile = tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True)

    def __enter__(self) -> Self:
        if not PROGRAM:
            raise BrowserError("There is no chromium here: install it, or name one in SWAPPER_TEST_CHROMIUM.")
        environment = {**os.environ, "HOME": self._profile.name}
        self._process = subprocess.Popen(
            [PROGRAM, *_OPTIONS, f"--user-data-dir={self._profile.name}", "about:blank"],
            env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        address = self._address()
        # What it says from now on nobody reads, and a full pipe would stop it.
        threading.Thread(target=self._process.communicate, daemon=True).start()
        self._thread.start()
        self._do(self._connect(address))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._do(self._close())
        self._process.terminate()
        self._process.wait(PATIENCE)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()
        self._profile.cleanup()

    def page(
        self, url: str, size: tuple[int, int] = DESKTOP, *, dark: bool = False, session: Mapping[str, str] | None = None
    ) -> "Page":
        """Open a page in a tab of its own.

        Args:
            url: What to show.
            size: Of the window.
            dark: Whether the system is.
            session: What the tab's `sessionStorage` has from the start.
        """
        target = self.call("Target.createTarget", {"url": "about:blank"})["targetId"]
        session_id = self.call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        page = self._pages[session_id] = Page(self, session_id, target)
        for domain in ("Page", "Runtime", "Network", "Log"):
            page.call(f"{domain}.enable")
        width, height = size
        page.call("Emulation.setDeviceMetricsOverride",
                  {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == PHONE})  # fmt: skip
        page.call("Emulation.setEmulatedMedia",
                  {"features": [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
                                {"name": "prefers-reduced-motion", "value": "reduce"}]})  # fmt: skip
        if session:
            source = f"Object.assign(sessionStorage, {json.dumps(dict(session))})"
            page.call("Page.addScriptToEvaluateOnNewDocument", {"source": source})
        page.go(url)
        return page

    def call(self, method: str, params: Params | None = None, session: str = "") -> dict[str, Any]:
        """One call of the protocol."""
        return self._do(self._call(method, params or {}, session))

    def _address(self) -> str:
        stderr = self._process.stderr
        if stderr is None:
            raise BrowserError("no pipe")
        said = []
        for line in stderr:
            said.append(line)
            if line.startswith("DevTools listening on "):
                return line.split()[-1]
        raise BrowserError(f"{PROGRAM} did not start:\n{''.join(said[-20:])}")

    def _do[T](self, work: Coroutine[Any, Any, T]) -> T:
        future: Future[T] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return future.result(PATIENCE * 2)

    async def _connect(self, address: str) -> None:
        self._http = aiohttp.ClientSession()
        self._socket = await self._http.ws_connect(address, max_msg_size=0)
        self._reader = asyncio.create_task(self._read())

    async def _close(self) -> None:
        self._reader.cancel()
        await self._socket.close()
        await self._http.close()

    async def _call(self, method: str, params: Params, session: str) -> dict[str, Any]:
        number = next(self._ids)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        message = {"id": number, "method": method, "params": params}
        await self._socket.send_json(message | ({"sessionId": session} if session else {}))
        async with asyncio.timeout(PATIENCE + 10):
            said = await answer
        if "error" in said:
            raise BrowserError(f"{method}: {said['error']['message']}")
        result: dict[str, Any] = said["result"]
        return result

    async def _read(self) -> None:
        async for message in self._socket:
            said = json.loads(message.data)
            if "id" in said:
                self._answers.pop(said["id"]).set_result(said)
            elif (page := self._pages.get(said.get("sessionId", ""))) is not None:
                page.heard(said["method"], said["params"])


class Page:
    """A tab.

    Attributes:
        trouble: What went wrong in it, as the browser says it.
        asked: Addresses that it asked for.
    """

    def __init__(self, browser: Browser, session: str, target: str) -> None:
        self._browser = browser
        self._session = session
        self._target = target
        self.trouble: list[str] = []
        self.asked: list[str] = []

    def call(self, method: str, params: Params | None = None) -> dict[str, Any]:
        """One call of the protocol, to this page."""
        return self._browser.call(method, params, self._session)

    def heard(self, event: str, params: dict[str, Any]) -> None:
        """The browser tells something."""
        match event:
            case "Runtime.exceptionThrown":
                details = params["exceptionDetails"]
                self.trouble.append(details.get("exception", {}).get("description") or details["text"])
            case "Runtime.consoleAPICalled" if params["type"] == "error":
                self.trouble.append(str([each.get("value", each.get("description")) for each in params["args"]]))
            case "Log.entryAdded" if params["entry"]["level"] == "error" and params["entry"]["source"] != "network":
                self.trouble.append(params["entry"]["text"])
            case "Network.requestWillBeSent":
                self.asked.append(params["request"]["url"])

    def go(self, url: str) -> None:
        """Show another address."""
        failed = self.call("Page.navigate", {"url": url}).get("errorText")
        if failed:
            raise BrowserError(f"{url}: {failed}")
        self.wait("document.readyState === 'complete'")

    def reload(self, *, anew: bool = False) -> None:
        """Show the same address again; `anew`: nothing of it is taken from what the browser has kept."""
        self.eval("window.stale = true")
        self.call("Page.reload", {"ignoreCache": anew})
        self.wait("window.stale === undefined && document.readyState === 'complete'")

    def close(self) -> None:
        """Close the tab."""
        self._browser.call("Target.closeTarget", {"targetId": self._target})

    def eval(self, expression: str) -> Any:  # noqa: ANN401 - whatever the page says
        """What an expression is, a promise's outcome included."""
        said = self.call("Runtime.evaluate",
                         {"expression": expression, "awaitPromise": True, "returnByValue": True})  # fmt: skip
        if "exceptionDetails" in said:
            details = said["exceptionDetails"]
            raise BrowserError(details.get("exception", {}).get("description") or details["text"])
        return said["result"].get("value")

    def wait(self, condition: str) -> Any:  # noqa: ANN401 - whatever the condition is then
        """Wait until an expression is true, and return it."""
        try:
            return self.eval(_WAIT % (condition, PATIENCE * 1000))
        except BrowserError as error:
            if any(words in str(error) for words in _MEANWHILE):
                return self.eval(_WAIT % (condition, PATIENCE * 1000))
            text = self.eval("document.body?.innerText.slice(0, 3000)")
            raise AssertionError(f"{condition}: {error}\n{self.trouble}\n{text}") from None

    def see(self, text: str, where: str = "body") -> None:
        """Wait until a text can be read."""
        self.wait(f"document.querySelector({json.dumps(where)})?.innerText.includes({json.dumps(text)})")

    def text(self, selector: str) -> str:
        """What can be read in an element; waits for it."""
        return str(self.wait(f"document.querySelector({json.dumps(selector)})") and self.eval(
            f"document.querySelector({json.dumps(selector)}).innerText"))  # fmt: skip

    def click(self, selector: str) -> None:
        """Click into the middle of an element, once it can be seen and nothing lies over it.

        What comes onto the page in this moment moves the rest, and the click meets something else: whoever sees that
        aims again. A click that met the element is never made twice.
        """
        end = time.monotonic() + PATIENCE
        while True:
            x, y = self.wait(_AIM % json.dumps(selector))
            place = {"x": x, "y": y, "button": "left", "clickCount": 1}
            self.call("Input.dispatchMouseEvent", {"type": "mousePressed", **place})
            self.call("Input.dispatchMouseEvent", {"type": "mouseReleased", **place})
            if self.eval("window.met !== false"):
                return
            assert time.monotonic() < end, f"{selector} never stands still"

    def type(self, text: str) -> None:
        """Write where the focus is."""
        self.call("Input.insertText", {"text": text})

    def press(self, key: str, *, shift: bool = False) -> None:
        """Press a key."""
        event: dict[str, object] = {"key": key, "code": key.replace(" ", "Space"), "modifiers": 8 if shift else 0,
                                    "windowsVirtualKeyCode": _KEYS[key]}  # fmt: skip
        text = {"Enter": "\r", " ": " "}.get(key)
        down = {"type": "keyDown", "text": text} if text else {"type": "rawKeyDown"}
        self.call("Input.dispatchKeyEvent", {**event, **down})
        self.call("Input.dispatchKeyEvent", {**event, "type": "keyUp"})

    def fill(self, selector: str, *files: Path) -> None:
        """Choose files, as in the browser's dialog."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", {"nodeId": root, "selector": selector})["nodeId"]
        self.call("DOM.setFileInputFiles", {"nodeId": node, "files": [str(file) for file in files]})

    def screenshot(self, path: Path) -> None:
        """A picture of the whole page, not only of what the window has room for."""
        path.parent.mkdir(parents=True, exist_ok=True)
        taken = self.call("Page.captureScreenshot", {"format": "png", "captureBeyondViewport": True})
        path.write_bytes(base64.b64decode(taken["data"]))
