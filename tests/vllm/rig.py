"""The stand-in for vLLM as an engine of the installed system, and what tests of either vLLM ask."""

import contextlib
import http.client
import json
import shutil
import socket
import sysconfig
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.job.house import MODELS, PATIENCE, TEMPLATES, Answer, ask, connect, question, run, show

PROGRAM = Path("/usr/local/bin/vllm")
PACKAGE = Path(sysconfig.get_path("purelib"), "vllm")
STANDIN = Path(__file__).parents[1] / "lab" / "vllm_standin.py"
ASR, VL = "qwen3-asr-0.6b", "qwen3-vl-4b"
SAID, SEEN = "The quick brown fox.", "A small red square."

MODULE = """\
import os, sys, time
if os.environ.get("STANDIN_IMPORT") == "fail":
    raise ImportError("libtorch_cpu.so: cannot open shared object file")
while time.process_time() < float(os.environ.get("STANDIN_IMPORT_SECONDS", "0")):
    pass
print("imported", file=sys.stderr, flush=True)
"""
"""What the stand-in imports, as the real one does: it costs processor time, and may fail."""

MISSION = f"""
models:
  devstral: {{engine: llama, model: devstral.gguf, context: 2048, aliases: [code]}}
  {ASR}:
    {{engine: vllm, model: qwen3-asr, gpu_memory: 30%, context: 8192, aliases: [asr, transcription]}}
  {VL}:
    {{engine: vllm, model: qwen3-vl-vllm, gpu_memory: 40%, context: 16384, images: 4,
     aliases: [qwen3-vl-4b-vllm, vision, vl, ocr]}}
"""
"""What the mission asks for: GPU shares, contexts, names, and four pictures."""


@contextlib.contextmanager
def standin() -> Iterator[None]:
    """The stand-in where administrators install vLLM, and the two models' folders."""
    shutil.copyfile(STANDIN, PROGRAM)
    PROGRAM.chmod(0o755)
    (PACKAGE / "entrypoints/cli").mkdir(parents=True)
    (PACKAGE / "entrypoints/cli/main.py").write_text(MODULE)
    write_folder("qwen3-asr", SAID)
    write_folder("qwen3-vl-vllm", SEEN)
    try:
        yield
    finally:
        PROGRAM.unlink()
        shutil.rmtree(PACKAGE)


def write_folder(name: str, reply: str) -> None:
    """A model in Hugging Face layout, as far as the stand-in and the router look."""
    folder = MODELS / name
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "reply.txt").write_text(reply)


FOLDERS = {ASR: "qwen3-asr", VL: "qwen3-vl-vllm"}


def with_env(model: str, variables: Mapping[str, str]) -> str:
    """The mission's configuration, with variables in the environment of one of its models on vLLM."""
    folder = FOLDERS[model]
    return MISSION.replace(f"model: {folder},", f"model: {folder}, env: {json.dumps(dict(variables))},")


@contextlib.contextmanager
def held(model: str) -> Iterator[Callable[[], None]]:
    """Whatever a stand-in does, it does not come to its end with it until what is given is called."""
    file = MODELS / FOLDERS[model] / "hold"
    file.touch()

    def go_on() -> None:
        file.unlink(missing_ok=True)

    try:
        yield go_on
    finally:
        go_on()


def unit(model: str) -> str:
    """The unit that runs a model on vLLM."""
    return f"vllm@{model}.service"


class _Unix(http.client.HTTPConnection):
    def __init__(self, model: str, timeout: float) -> None:
        super().__init__("engine", timeout=timeout)
        self._path = f"/run/swapper/vllm@{model}/http.sock"

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def engine(model: str, method: str, path: str, body: bytes | None = None, *, timeout: float = PATIENCE) -> Answer:
    """Ask an engine itself, past the router.

    Raises:
        ConnectionRefusedError: It does not listen.
        TimeoutError: It does not answer in time.
    """
    with contextlib.closing(_Unix(model, timeout)) as connection:
        connection.request(method, path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        return Answer(response.status, dict(response.getheaders()), response.read())


def started_with(model: str) -> tuple[list[str], dict[str, str]]:
    """The command line and the environment that a stand-in was started with."""
    told = engine(model, "GET", "/standin/argv").json
    return told["argv"], told["env"]


def form(*fields: tuple[str, str] | tuple[str, str, bytes]) -> tuple[bytes, str]:
    """A multipart form of `(name, value)` and `(name, filename, content)`: its bytes and its Content-Type."""
    parts = []
    for name, value, *content in fields:
        if content:
            head = f'form-data; name="{name}"; filename="{value}"\r\nContent-Type: application/octet-stream'
            parts.append(f"--limit\r\nContent-Disposition: {head}\r\n\r\n".encode() + content[0])
        else:
            parts.append(f'--limit\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}'.encode())
    return b"\r\n".join([*parts, b"--limit--\r\n"]), "multipart/form-data; boundary=limit"


@contextlib.contextmanager
def talking(model: str, words: int) -> Iterator[http.client.HTTPResponse]:
    """An answer of that many words, of which the first event has been read."""
    body = question(model, "LOOP", stream=True, max_tokens=words)
    with contextlib.closing(connect()) as connection:
        connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        assert response.status == 200
        assert response.readline().startswith(b"data: ")
        assert response.readline() == b"\n"
        yield response


def transcribe(*fields: tuple[str, str] | tuple[str, str, bytes]) -> Answer:
    """Send a recording to port 8000."""
    body, content_type = form(*fields)
    return ask("POST", "/v1/audio/transcriptions", body, {"Content-Type": content_type})


def events(body: bytes) -> list[Any]:
    """The events of a stream that has ended as it should, without the closing `[DONE]`."""
    *lines, last = [line for line in body.decode().split("\n\n") if line]
    assert last == "data: [DONE]", body[-200:]
    return [json.loads(line.removeprefix("data: ")) for line in lines]


def active() -> list[str]:
    """The engines that run."""
    out = run("systemctl", "list-units", "--state=active", "--no-legend", "--plain", *TEMPLATES)
    return [line.split()[0] for line in out.splitlines()]


def processes(name: str) -> dict[int, str]:
    """The processes of a unit, sidecar included: id → name; none when it is gone."""
    group = Path("/sys/fs/cgroup" + show(name, "ControlGroup"), "cgroup.procs")
    if not show(name, "ControlGroup") or not group.exists():
        return {}
    return {int(line): Path("/proc", line, "comm").read_text().strip() for line in group.read_text().split()}
