"""The tiny models on a real llama-server, and vLLM's stand-in: what the other tests take for granted."""

import base64
import contextlib
import http.client
import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.lab import media, vllm_standin
from tests.lab.gguf import speaking, split, write_model
from tests.lab.mmproj import write_projector

if shutil.which("llama-server") is None:
    pytest.skip("needs Debian 14's llama.cpp-tools", allow_module_level=True)

PATIENCE = 60.0
REPLY = "The cat sat on the mat, and the cat slept."


class Connection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("engine", timeout=PATIENCE)
        self._path = path

    def connect(self) -> None:
        """Connects to the socket file."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine that runs."""

    process: subprocess.Popen[bytes]
    socket: Path

    def connect(self) -> contextlib.closing[Connection]:
        """A connection of its own."""
        return contextlib.closing(Connection(self.socket))

    def ask(
        self, path: str, body: object = None, *, raw: bytes | None = None, kind: str = "application/json"
    ) -> tuple[int, Any]:
        """The status of the answer, and its JSON (or its text, if it is none)."""
        data = raw if raw is not None or body is None else json.dumps(body).encode()
        with self.connect() as connection:
            connection.request("GET" if data is None else "POST", path, data, {"Content-Type": kind})
            response = connection.getresponse()
            text = response.read().decode()
        try:
            return response.status, json.loads(text)
        except ValueError:
            return response.status, text

    def chat(self, content: object = "Hello!", **more: object) -> dict[str, Any]:
        """A good answer to a chat."""
        status, answer = self.ask("/v1/chat/completions", chat(content, **more))
        assert status == 200, answer
        good: dict[str, Any] = answer
        return good

    def transcribe(self, name: str, sound: bytes, *fields: str) -> tuple[int, Any]:
        """The answer to an upload."""
        raw = b"".join(f"--x\r\nContent-Disposition: form-data; {field}\r\n".encode() for field in fields)
        raw += f'--x\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'.encode()
        return self.ask(
            "/v1/audio/transcriptions", raw=raw + sound + b"\r\n--x--\r\n", kind="multipart/form-data; boundary=x"
        )


def chat(content: object = "Hello!", **more: object) -> dict[str, object]:
    """The body of a chat."""
    return {"model": "tiny", "messages": [{"role": "user", "content": content}], **more}


def content_of(answer: Mapping[str, Any]) -> str:
    """What the model said."""
    content: str = answer["choices"][0]["message"]["content"]
    return content


@contextlib.contextmanager
def running(path: Path, argv: Sequence[str | Path]) -> Iterator[Engine]:
    """Starts an engine, and has it answer its health check."""
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL) as process:
        engine = Engine(process, path)
        try:
            end = time.monotonic() + PATIENCE
            while not healthy(engine):
                assert process.poll() is None, f"{argv} ended with {process.returncode}"
                assert time.monotonic() < end, f"{argv} was not ready in time"
                time.sleep(0.01)
            yield engine
        finally:
            process.kill()


def healthy(engine: Engine) -> bool:
    """Whether it answers 200."""
    try:
        return bool(engine.ask("/health")[0] == 200)
    except OSError:
        return False


@contextlib.contextmanager
def llama(folder: Path, reply: str, *arguments: str | Path, size_mb: int = 0) -> Iterator[Engine]:
    """A llama-server with a tiny model."""
    write_model(folder / "tiny.gguf", reply, size_mb=size_mb)
    path = folder / "llama.sock"
    path.unlink(missing_ok=True)
    with running(path, ["llama-server", "--host", path, "-m", folder / "tiny.gguf", *arguments]) as engine:
        yield engine


@settings(deadline=None)
@given(st.text(min_size=1).filter(str.strip))
def test_pieces_make_up_the_sentence_and_all_differ(sentence: str) -> None:
    sentence = sentence.encode(errors="ignore").decode().strip() or "x"
    pieces = split(sentence)
    assert "".join(pieces) == sentence
    assert len(set(pieces)) == len(pieces)
    assert len(speaking(sentence).tokens) <= 512


@pytest.mark.parametrize(
    "reply",
    [
        "Hello! This is devstral speaking.",
        REPLY,
        "buffalo buffalo buffalo buffalo",
        "A",
        "Zwölf Boxkämpfer jagen Viktor: 日本語, 😀!",
        "Two lines,\n\nof  which the second\tis `code`.",
        " ".join(f"word{number}" for number in range(300)),
    ],
    ids=["plain", "repeats", "buffalo", "letter", "unicode", "lines", "long"],
)
def test_the_model_says_its_sentence_whatever_it_is_asked(tmp_path: Path, reply: str) -> None:
    with llama(tmp_path, reply) as engine:
        assert content_of(engine.chat()) == reply
        assert content_of(engine.chat(f"Say something else than {reply}", temperature=1.5)) == reply


def test_chats_stream_and_loop_and_stop(tmp_path: Path) -> None:
    with llama(tmp_path, REPLY) as engine:
        _, events = engine.ask("/v1/chat/completions", chat(stream=True))
        chunks = [json.loads(line[6:]) for line in events.splitlines() if line.startswith("data: {")]
        assert "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks) == REPLY
        endless = engine.chat("LOOP", max_tokens=100)
        assert endless["choices"][0]["finish_reason"] == "length"
        assert endless["usage"]["completion_tokens"] == 100
        assert content_of(endless).startswith(" loop000 loop001")
        assert content_of(engine.chat("THINK")).endswith(f"</think>{REPLY}")


def test_texts_that_are_alike_have_embeddings_that_are_alike(tmp_path: Path) -> None:
    with llama(tmp_path, REPLY, "--embeddings") as engine:
        status, answer = engine.ask(
            "/v1/embeddings", {"model": "tiny", "input": ["a small cat", "a small bat", "ZZZ!"]}
        )
        assert status == 200
        cat, bat, other = (item["embedding"] for item in answer["data"])
        assert (
            sum(x * y for x, y in zip(cat, bat, strict=True))
            > sum(x * y for x, y in zip(cat, other, strict=True)) + 0.3
        )
        assert content_of(engine.chat()) == REPLY


def test_a_projector_makes_it_look_at_pictures(tmp_path: Path) -> None:
    write_projector(tmp_path / "mmproj.gguf", "vision")
    with llama(tmp_path, "A small red square.", "--mmproj", tmp_path / "mmproj.gguf") as engine:
        question = {"type": "text", "text": "What is this?"}
        counts = []
        for side in (64, 128):
            url = media.data_url("image/png", media.png(side, side))
            answer = engine.chat([question, {"type": "image_url", "image_url": {"url": url}}])
            assert content_of(answer) == "A small red square."
            counts.append(answer["usage"]["prompt_tokens"])
        assert counts[0] < counts[1], "a larger picture has more patches"
        broken = media.data_url("image/png", b"no picture")
        status, _ = engine.ask("/v1/chat/completions", chat([{"type": "image_url", "image_url": {"url": broken}}]))
        assert status == 400


def test_a_projector_makes_it_listen(tmp_path: Path) -> None:
    write_projector(tmp_path / "mmproj.gguf", "audio")
    with llama(tmp_path, REPLY, "--mmproj", tmp_path / "mmproj.gguf") as engine:
        status, answer = engine.transcribe("voice.wav", media.wav())
        assert (status, answer["text"]) == (200, REPLY)
        sound = {"data": base64.b64encode(media.wav()).decode(), "format": "wav"}
        assert content_of(engine.chat([{"type": "input_audio", "input_audio": sound}])) == REPLY
        status, _ = engine.transcribe("voice.ogg", media.ogg())
        assert status == 400, "llama-server has learnt to read OGG: tell the users, and FACTS"


def test_a_large_model_is_a_small_file_and_says_the_same(tmp_path: Path) -> None:
    with llama(tmp_path, REPLY, "--load-mode", "none", size_mb=300) as engine:
        written = (tmp_path / "tiny.gguf").stat()
        assert written.st_size > 300_000_000
        assert written.st_blocks * 512 < 2_000_000
        assert content_of(engine.chat()) == REPLY


def test_a_truncated_model_is_refused(tmp_path: Path) -> None:
    write_model(tmp_path / "tiny.gguf", REPLY)
    with (tmp_path / "tiny.gguf").open("r+b") as file:
        file.truncate(100_000)
    argv = ["llama-server", "--host", str(tmp_path / "llama.sock"), "-m", str(tmp_path / "tiny.gguf")]
    done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode != 0
    assert "failed to load model" in done.stderr


@pytest.fixture
def standin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """The stand-in for vLLM, in developer mode."""
    monkeypatch.setenv("VLLM_SERVER_DEV_MODE", "1")
    (tmp_path / "reply.txt").write_text(f"{REPLY}\n")
    path = tmp_path / "vllm.sock"
    argv = ["serve", str(tmp_path), "--uds", str(path), "--served-model-name", "tiny", "asr", "--enforce-eager",
            "--gpu-memory-utilization", "0.3", "--limit-mm-per-prompt", '{"image":4}']  # fmt: skip
    with running(path, [sys.executable, vllm_standin.__file__, *argv]) as engine:
        yield engine


def test_the_standin_answers_as_vllm_does(standin: Engine) -> None:
    assert content_of(standin.chat()) == REPLY
    assert [model["id"] for model in standin.ask("/v1/models")[1]["data"]] == ["tiny", "asr"]
    for name, sound in {"voice.wav": media.wav(), "voice.ogg": media.ogg()}.items():
        status, answer = standin.transcribe(name, sound, 'name="model"\r\n\r\nasr')
        assert (status, answer["text"]) == (200, REPLY)
    status, answer = standin.transcribe("voice.ogg", media.ogg(), 'name="model"\r\n\r\nother')
    assert (status, answer["error"]["type"]) == (404, "NotFoundError")
    picture = {"type": "image_url", "image_url": {"url": media.data_url("image/png", media.png())}}
    standin.chat([picture] * 4)
    status, answer = standin.ask("/v1/chat/completions", chat([picture] * 5))
    assert (status, answer["error"]["message"][:19]) == (400, "At most 4 image(s) ")
    assert "--enforce-eager" in standin.ask("/standin/argv")[1]["argv"]


def test_the_standin_hangs_asleep_and_answers_awake(standin: Engine) -> None:
    standin.ask("/sleep?level=1", raw=b"")
    assert standin.ask("/is_sleeping") == (200, {"is_sleeping": True})
    assert standin.ask("/health") == (200, "")
    with standin.connect() as connection:
        connection.request("POST", "/v1/chat/completions", json.dumps(chat()), {"Content-Type": "application/json"})
        connection.sock.settimeout(0.3)
        with pytest.raises(TimeoutError):
            connection.sock.recv(1)
        standin.ask("/wake_up", raw=b"")
        connection.sock.settimeout(PATIENCE)
        assert connection.getresponse().status == 200


def test_the_standin_waits_for_its_streams_when_told_to_stop(standin: Engine) -> None:
    with standin.connect() as connection:
        connection.request(
            "POST", "/v1/chat/completions", json.dumps(chat("LOOP", stream=True)), {"Content-Type": "application/json"}
        )
        assert connection.getresponse().readline().startswith(b"data: ")
        standin.process.send_signal(signal.SIGTERM)
        end = time.monotonic() + PATIENCE
        while healthy(standin):
            assert time.monotonic() < end, "it listens still"
            time.sleep(0.01)
        with pytest.raises(subprocess.TimeoutExpired):
            standin.process.wait(0.5)
    assert standin.process.wait(PATIENCE) == 0
    assert standin.socket.exists()
