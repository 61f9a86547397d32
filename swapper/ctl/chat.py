"""`swapperctl chat MODEL [TEXT]`: talk to a model; pictures and sound may come along."""

import argparse
import base64
import json
import mimetypes
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from swapper.ctl import FAILED, WRONG, Failure
from swapper.ctl import options as shared
from swapper.ctl.asking import Host
from swapper.ctl.terminal import Style

_SOUNDS = {"audio/x-wav": "wav", "audio/wav": "wav", "audio/vnd.wave": "wav", "audio/mpeg": "mp3"}
"""OpenAI's formats of `input_audio`, by media type ("Create chat completion" in its API reference)."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.description = (
        "Asks a model, and prints its answer as it comes. Without TEXT it is a conversation, or, where standard input "
        "is no terminal, that is the question. Words that are files with pictures or sound go along as such."
    )
    parser.add_argument("model", help="a name or an alias")
    parser.add_argument("text", nargs="*", help="what to say; files with pictures or sound (PNG, JPEG, WAV, MP3, …)")
    parser.add_argument("--system", metavar="TEXT", help="what the model is told first")
    parser.add_argument("--file", "-f", type=Path, action="append", default=[], help="a picture or a recording")
    shared.router(parser)


def run(options: argparse.Namespace) -> int:
    """Carry it out; returns the exit status."""
    talk = Talk(Host(options.url), options.model, options.system, as_json=options.json)
    files = [*options.file, *(Path(word) for word in options.text if _medium(Path(word)))]
    text = " ".join(word for word in options.text if not _medium(Path(word)))
    if not text and not sys.stdin.isatty():
        text = sys.stdin.read()
    if text.strip() or files:
        talk.ask(text, files)
        return 0
    if options.json or not sys.stdin.isatty():
        raise Failure("there is no question", "swapperctl chat MODEL TEXT", WRONG)
    return _converse(talk)


def _converse(talk: "Talk") -> int:
    print(f"You are talking to {talk.model}. /new begins anew, Ctrl-D ends.", file=sys.stderr)
    while True:
        try:
            line = input("> ").strip()
        except EOFError:
            print()
            return 0
        if line == "/new":
            talk.begin()
        elif line:
            try:
                talk.ask(line, [])
            except Failure as failure:
                print(f"swapperctl: {failure}\n{failure.hint}".rstrip(), file=sys.stderr)


class Talk:
    """A conversation."""

    def __init__(self, host: Host, model: str, system: str | None, *, as_json: bool) -> None:
        self.model = model
        self._host = host
        self._system = system
        self._json = as_json
        self._style, self._aside = Style(), Style(sys.stderr)
        self._said: list[dict[str, Any]] = []
        self._waited = ""
        self.begin()

    def begin(self) -> None:
        """Forget what was said."""
        self._said = [{"role": "system", "content": self._system}] if self._system else []

    def ask(self, text: str, files: Sequence[Path]) -> None:
        """Say something, and print the answer.

        Raises:
            Failure: There is none, or not all of it; then nothing was said.
        """
        parts = [*map(part, files)]
        content: object = [*parts, {"type": "text", "text": text}] if parts else text
        self._said.append({"role": "user", "content": content})
        body = {"model": self.model, "messages": self._said, "stream": True}
        try:
            answer = self._whole(body) if self._json else self._streamed(body)
        except BaseException:
            self._said.pop()
            raise
        self._said.append({"role": "assistant", "content": answer})

    def _whole(self, body: dict[str, object]) -> str:
        answer = self._host.post("/v1/chat/completions", {**body, "stream": False})
        print(json.dumps(answer, indent=2))
        return str(answer["choices"][0]["message"].get("content") or "")

    def _streamed(self, body: dict[str, object]) -> str:
        said, thinking, whole = list[str](), False, False
        with self._host.events("POST", "/v1/chat/completions", body) as events:
            for event in events:
                if event.name == ":":
                    self._wait(event.data)
                    continue
                if event.data == "[DONE]":
                    whole = True
                    break
                chunk = json.loads(event.data)
                if error := chunk.get("error"):
                    raise Failure(str(error.get("message")), str(error.get("hint") or ""))
                choice: dict[str, Any] = next(iter(chunk.get("choices") or ()), {})
                delta = choice.get("delta") or {}
                thought = delta.get("reasoning_content") or delta.get("reasoning") or ""
                text = delta.get("content") or ""
                self._wait("")
                if thought:
                    thinking = True
                    print(self._style.paint(thought, "dim"), end="", flush=True)
                if text:
                    print(("\n\n" if thinking else "") + text, end="", flush=True)
                    thinking = False
                    said.append(text)
        print()
        if not whole:
            raise Failure("the answer broke off", "ask again", FAILED)
        return "".join(said)

    def _wait(self, what: str) -> None:
        """What one waits for, in a line that goes away."""
        if self._aside.terminal and what != self._waited:
            self._waited = what
            print(f"\r\x1b[K{self._aside.paint(what, 'dim')}", end="", file=sys.stderr, flush=True)


def part(file: Path) -> dict[str, object]:
    """A file as a part of a message.

    Raises:
        Failure: It cannot be read, or is nothing that can be sent.
    """
    kind = mimetypes.guess_type(file.name)[0] or ""
    try:
        data = base64.b64encode(file.read_bytes()).decode()
    except OSError as error:
        raise Failure(f"{file} cannot be read: {error.strerror}", status=WRONG) from error
    if kind.startswith("image/"):
        return {"type": "image_url", "image_url": {"url": f"data:{kind};base64,{data}"}}
    if kind.startswith("audio/"):
        sound = _SOUNDS.get(kind, kind.removeprefix("audio/"))
        return {"type": "input_audio", "input_audio": {"data": data, "format": sound}}
    raise Failure(f"{file} is neither a picture nor a recording, by its name", "a text is for standard input", WRONG)


def _medium(path: Path) -> bool:
    return (mimetypes.guess_type(path.name)[0] or "").startswith(("image/", "audio/")) and path.is_file()
