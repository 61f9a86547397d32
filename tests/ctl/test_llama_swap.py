"""Configurations of llama-swap, and what becomes of them."""

from pathlib import Path

import pytest

from swapper.config import load
from swapper.config.settings import Share
from swapper.ctl.llama_swap import Converted, convert

WHOLE = """\
healthCheckTimeout: 500
globalTTL: 600
sendLoadingState: true
logLevel: debug
macros:
  server: /opt/llama.cpp/llama-server --port ${PORT}
  models: "${env.MODELS}/gguf"
  common: >
    ${server}
    --host 127.0.0.1 -fa on
apiKeys: [sk-secret]
models:
  "qwen/coder:30b":
    name: A coder
    cmd: |
      # as fast as it gets
      ${common} \\
      --model '${models}/Qwen Coder.gguf'
      -c 65536 --parallel 2 --temp -0.5 --jinja
      --mmproj=${models}/mmproj.gguf
    env:
      - CUDA_VISIBLE_DEVICES=0,1
      - GGML_X=a b
    aliases: [coder, {id: gpt-4o, unlisted: true}]
    ttl: 60
    concurrencyLimit: 4
    filters:
      stripParams: "top_p, top_k"
      setParams: {temperature: 0.7, stop: ["x"]}
    proxy: http://127.0.0.1:9999
  asr:
    macros: {len: 8192}
    cmd: vllm serve /models/asr --port ${PORT} --max-model-len ${len} --gpu-memory-utilization 0.3 --trust-remote-code
    ttl: 0
    sendLoadingState: false
  docked:
    cmd: docker run --name ${MODEL_ID} llama.cpp:server
  hub:
    cmd: llama-server -hf org/repo:Q4
groups:
  all: {swap: false, members: [asr]}
hooks: {on_startup: {preload: [asr]}}
"""


def converted(folder: Path, text: str) -> Converted:
    file = folder / "config.yaml"
    file.write_text(text)
    return convert(file, {"MODELS": "/srv"}.get)


def test_a_whole_configuration(tmp_path: Path) -> None:
    found = converted(tmp_path, WHOLE)
    ours = tmp_path / "ours.yaml"
    ours.write_text("".join(f"{line}\n" for line in found.lines))
    config = load(ours)
    coder, asr = config.models
    assert (coder.name, coder.engine, str(coder.model)) == ("qwen/coder:30b", "llama", "/srv/gguf/Qwen Coder.gguf")
    assert (str(coder.mmproj), coder.context, coder.gpus) == ("/srv/gguf/mmproj.gguf", 65536, (0, 1))
    assert coder.args == ("-fa", "on", "--temp", "-0.5", "--jinja")
    assert (coder.aliases, coder.env) == (("coder", "gpt-4o"), (("GGML_X", "a b"),))
    assert (coder.ttl, coder.concurrency, coder.queue, coder.load_timeout) == (60, 4, 0, 500)
    assert (coder.loading_message, coder.preload) == (True, False)
    assert coder.filters is not None
    assert coder.filters.strip == ("top_p", "top_k")
    assert coder.filters.set == (("temperature", "0.7"), ("stop", '["x"]'))
    assert (asr.engine, str(asr.model), asr.context, asr.gpu_memory) == ("vllm", "/models/asr", 8192, Share(300000))
    assert (asr.args, asr.ttl, asr.loading_message, asr.preload) == (("--trust-remote-code",), None, False, True)
    assert str(config.engines["llama"].path) == "/opt/llama.cpp/llama-server"
    told = {(note.line, note.message.partition(" is ")[0]) for note in found.notes}
    coders = {(14, "'name' of qwen/coder:30b"), (30, "'proxy' of qwen/coder:30b")}
    assert told >= {(4, "'logLevel'"), (11, "'apiKeys'"), *coders}
    assert {note.line for note in found.notes if "docked" in note.message} == {37}
    assert [note.message for note in found.notes if note.line == 39] == [
        "-hf org/repo:Q4: engines download nothing here",
        "the command of hub names no file of weights, and it is left out",
    ]
    assert any(note.line == 40 and "policy: pack" in note.hint for note in found.notes)
    assert not any("sk-secret" in str(note) for note in found.notes)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("llama-server -m a.gguf --api-key x", "--api-key is not carried over"),
        ("llama-server -m a.gguf", "a.gguf is a relative path"),
        ("llama-server -m '/a.gguf", "cannot be read"),
        ("llama-server -m ${nothing}", "${nothing} is not known"),
        ("llama-server -m ${env.NOTHING}", "${env.NOTHING} is not known"),
        ("llama-server -m ${round}", "is not carried over"),
        ("", "started by nothing"),
    ],
)
def test_what_is_odd_is_told(tmp_path: Path, command: str, words: str) -> None:
    text = f"logLevel: info\nmacros: {{round: '${{round}}'}}\nmodels: {{m: {{cmd: {command!r}}}}}\n"
    assert any(words in str(note) for note in converted(tmp_path, text).notes)


@pytest.mark.parametrize("text", ["", "[]", "models: [a]", "models: {a: b}", "models: {a: {}}", "a: b: c", "\t"])
def test_what_is_no_such_configuration_is_told(tmp_path: Path, text: str) -> None:
    found = converted(tmp_path, text)
    assert not found.lines
    assert found.notes or not text
