"""The schema for editors refuses what the reader refuses, as far as one place of one file tells, and nothing else."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from swapper.config.keywords import TopKeys
from swapper.documents.schema import schema
from swapper.telegram.settings import TopKeys as BotKeys
from tests.config import test_mistakes, test_requests
from tests.config.conftest import Load
from tests.config.editor import as_json
from tests.test_house import SOURCE

jsonschema = pytest.importorskip("jsonschema")

SCHEMAS = {"swapper": schema(TopKeys, "swapper.yaml"), "telegram": schema(BotKeys, "telegram.yaml")}

BEYOND = (
    "not YAML",
    "stands twice in",
    "is in bytes, and GPU 0 has no 'memory'",
    "'gpu_memory' is more",
    "alias '",
    "what JSON can say",
    "' takes 67 bytes",
)
"""Parts of messages that no schema can give: it sees values, and compares none with what stands elsewhere."""


def complaints(text: str, name: str = "swapper") -> list[str]:
    """What an editor would mark, as `path: message`."""
    found = jsonschema.Draft7Validator(SCHEMAS[name]).iter_errors(as_json(text))
    return [f"{'/'.join(map(str, error.absolute_path))}: {error.message}" for error in found]


@pytest.mark.parametrize("name", SCHEMAS)
def test_it_is_a_schema(name: str) -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMAS[name])


@pytest.mark.parametrize("name", SCHEMAS)
def test_what_is_shipped_has_no_mistake(name: str) -> None:
    assert complaints((SOURCE / "config" / f"{name}.yaml").read_text(), name) == []


def examples() -> Iterator[tuple[str, str]]:
    """Configurations in documents: blocks of YAML, and code within a sentence that begins with a key of ours."""
    top = "|".join(SCHEMAS["swapper"]["anyOf"][0]["properties"])
    for file in (SOURCE / "README.md", *sorted((SOURCE / "docs").glob("*.md"))):
        text = file.read_text()
        yield from ((file.name, block) for block in re.findall(r"^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
        yield from ((file.name, code) for code in re.findall(rf"`((?:{top}): \{{[^`…]*\}})`", text))


EXAMPLES = list(examples())


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 10
    assert {name for name, _ in EXAMPLES} >= {"README.md", "schedules.md", "speech.md"}


@pytest.mark.parametrize(("file", "text"), EXAMPLES)
def test_what_documents_show_has_no_mistake(file: str, text: str) -> None:
    assert complaints(text) == [], file


def mistakes() -> Iterator[tuple[str, str]]:
    """Texts with one mistake each, and what the reader says, from its own tests."""
    for case in (
        test_mistakes.test_one_mistake_is_one_message,
        test_requests.test_mistakes_in_models,
        test_requests.test_mistakes_elsewhere,
    ):
        (mark,) = [mark for mark in case.pytestmark if mark.name == "parametrize"]  # type: ignore[attr-defined]
        inside = case is test_requests.test_mistakes_in_models
        yield from ((test_mistakes.in_model(text) if inside else text, said) for text, said in mark.args[1])


MISTAKES = list(mistakes())


def test_what_only_the_reader_can_tell_is_the_lesser_part() -> None:
    assert all(any(part in said for _, said in MISTAKES) for part in BEYOND)
    assert sum(any(part in said for part in BEYOND) for _, said in MISTAKES) < len(MISTAKES) / 4


@pytest.mark.parametrize(
    ("text", "said"), [(text, said) for text, said in MISTAKES if not any(part in said for part in BEYOND)]
)
def test_mistakes_are_seen_by_editors_too(text: str, said: str) -> None:
    assert complaints(text) != [], said


@pytest.mark.parametrize(
    "text",
    [
        "allow: {users: [-5]}", "allow: {users: [ada]}", "allow: {groups: [5]}", "allow: {group: [-100]}",
        "voice: loud", "history: 1", "router: localhost:8000", "webhook: https://bot.example.com/", "webhook: http://a.b/telegram/x",
        "webhook: https://a.b/telegram/", "webhook: https://u@a.b/telegram/x", "webhook: https://a.b:9/telegram/x",
        "sytem: be kind", "agent: claude", "codex: {approval: never}", "senses: {smells: x}",
    ],
)  # fmt: skip
def test_mistakes_in_the_bots_file(text: str) -> None:
    assert complaints(text, "telegram") != []


GOOD = """
models_dir: /models
gpus: {0: {memory: 24GiB}, 1: {memory: 8GB, policy: pack}}
models:
  voice: &all
    engine: llama
    model: voice.gguf
    gpu: [1, 0]
    gpu_memory: 6.5GiB
    context: "8192"
    aliases: Qwen/ASR
    args: [--flag, 010, yes, 3.10, -1]
    env: {A: 1, B: on, C: "", _D: $%"'}
    pinned: yes
    load_timeout: 90
    drain_timeout: 1h 30min
    queue: 0
    queue_timeout: never
    filters: {set: {temperature: 0.7, x: [~, {y: z}]}, strip: top_k}
  another: {<<: *all, aliases: []}
  3.5: {engine: vllm, model: 7, gpu: [], on_swap: park, park_level: 2, images: 0, args: [--max-num-seqs, 8]}
  on: {engine: speech, gpu: [], args: --language=de, ttl: ~, on_swap: }
  far: {engine: llama, model: sub/dir/..x.gguf, gpu: 3}
groups: {a: {never_together: [voice, on]}}
profiles: {b: voice, 1: [on]}
media: {allow: ["fd00::/8", "[fd00::7]:80", 10.0.0.0/8, "h:80", h.], max_bytes: 64 MiB, timeout: 0.5}
router: {idle_exit: never, hosts: GPU.lan, origins: ["*", "http://localhost:3000"], spool: }
turns: {swap_share: 12.5 %, min_hold: 500ms}
keys: {alice: {concurrency: 4, priority: high}, 7: {}}
engines: {vllm: {path: /opt/x}, llama: {search: /opt/y}}
"""


@pytest.mark.parametrize("text", [GOOD, "models:\ngpus: ~\nrouter: {spool: }\n", "", "# nothing"])
def test_what_the_reader_takes_is_no_mistake(load_text: Load, text: str) -> None:
    load_text(text)
    assert complaints(text) == []


@pytest.mark.skipif(shutil.which("node") is None, reason="needs a JavaScript, as editors have it")
def test_patterns_are_those_of_javascript() -> None:
    program = "JSON.parse(process.argv[1]).forEach((pattern) => new RegExp(pattern, 'u'))"
    patterns = sorted({pattern for schema in SCHEMAS.values() for pattern in patterns_of(schema)})
    assert len(patterns) > 15
    subprocess.run(["node", "-e", program, json.dumps(patterns)], check=True)


def patterns_of(part: object) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("pattern"), str):
            yield part["pattern"]
        for below in part.values():
            yield from patterns_of(below)
    elif isinstance(part, list):
        for below in part:
            yield from patterns_of(below)
