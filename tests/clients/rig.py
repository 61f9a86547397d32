"""What the clients' tests ask, and whom."""

import importlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.job.house import MODELS, sentence, write_gguf
from tests.lab.gguf import write_model
from tests.lab.ranker import write_ranker
from tests.media import sight

TEMPLATE = "tools.jinja"
URL = "http://127.0.0.1:8000"
CONFIG = f"""
models:
  writer: {{engine: llama, model: writer.gguf, context: 4096, args: [--embeddings], aliases: [code]}}
  other: {{engine: llama, model: other.gguf, context: 4096}}
  ear: {sight.EAR}
  coder: {{engine: llama, model: coder.gguf, context: 65536, gpu: 1}}
  narrow: {{engine: llama, model: narrow.gguf, context: 65536, concurrency: 1, queue: 0}}
  judge: {{engine: llama, model: judge.gguf, context: 2048, args: [--reranking], capabilities: [rerank]}}
  caller: {{engine: llama, model: caller.gguf, context: 4096, args: [--chat-template-file, {MODELS / TEMPLATE}]}}
  agent:
    {{engine: llama, model: agent.gguf, context: 65536, gpu: 1, args: [--chat-template-file, {MODELS / TEMPLATE}]}}
  broken: {{engine: llama, model: broken.gguf, context: 2048}}
  absent: {{engine: llama, model: absent.gguf, context: 2048}}
  speaker: {{engine: speech}}
"""
NAMES = ["writer", "other", "ear", "coder", "narrow", "judge", "caller", "agent", "broken", "absent", "speaker"]
WORDS = sentence("writer")

HELLO = [{"role": "user", "content": "Hello!"}]
WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string", "enum": ["Rome", "Oslo"]}, "warm": {"type": "boolean"}},
    "required": ["city", "warm"],
    "additionalProperties": False,
}
"""A schema that leaves little to say: the tiny models have no idea of JSON, and only the engine's grammar makes it."""

CALL = {"city": "Oslo", "warm": False}
"""What `caller` wants to know the weather of, whatever it is asked."""

COLD = "Snow, as ever."
"""What it says once a tool has told it something."""

DONE = "Ready!"
"""What `agent` says once it has made the file `made`."""


def official(package: str) -> Any:
    """A client's package. Where nobody has brought the clients, the calling module's tests are skipped."""
    if not os.environ.get("SWAPPER_TEST_CLIENTS_PYTHON"):
        pytest.skip("it is not here: run tests/run --clients", allow_module_level=True)
    return importlib.import_module(package)


def write_models() -> None:
    """The files that `CONFIG` names: one of them is no model, and one is left out."""
    sight.write_models()
    shutil.copyfile(Path(__file__).with_name(TEMPLATE), MODELS / TEMPLATE)
    write_ranker(MODELS / "judge.gguf")
    write_caller("caller", "weather", CALL, COLD)
    write_caller("agent", "exec_command", {"cmd": "touch made"}, DONE)
    for name in ("writer", "other", "coder", "narrow"):
        write_gguf(name)
    (MODELS / "broken.gguf").write_bytes(b"GGUF" + b"nonsense" * 1000)


def write_caller(name: str, tool: str, arguments: dict[str, object], then: str) -> None:
    """A model that calls this tool, with `TEMPLATE`."""
    call = json.dumps({"name": tool, "arguments": arguments})
    write_model(MODELS / f"{name}.gguf", f"<tool_call>\n{call}\n</tool_call>", then=then)
