"""What README.md tells a newcomer to configure and to type, word for word; vLLM is its stand-in."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.rig import CONFIG
from tests.job import house
from tests.job.house import sentence
from tests.lab import media
from tests.lab.gguf import write_model
from tests.vllm.rig import SAID, standin

README = Path(os.environ.get("SWAPPER_TEST_SOURCE", Path(__file__).parents[2]), "README.md").read_text()
CALLS = [
    re.sub(r"\\\n\s*", "", call)
    for call in re.findall(r"^    (curl (?:.*\\\n)*.*)$", README, re.MULTILINE) if "//localhost:8000/" in call
]  # fmt: skip
"""Those to the router: the repository of packages is an example, and nowhere."""


@pytest.fixture(scope="module", autouse=True)
def _configured() -> Iterator[None]:
    (yaml,) = re.findall(r"^```yaml\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    path = house.MODELS / "devstral-small.gguf"
    write_model(path, sentence("devstral"))
    with standin():
        house.reset()
        house.configure(yaml)
        yield
        house.reset()
    house.configure(CONFIG)
    path.unlink()


def test_every_call_is_tested() -> None:
    assert len(CALLS) == 3


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.split()[1].rpartition("/v1/")[2])
def test_a_call(call: str, tmp_path: Path) -> None:
    (tmp_path / "voice.ogg").write_bytes(media.ogg())
    shown = call.replace("curl ", "curl --silent --show-error --fail-with-body ", 1)
    done = subprocess.run(("bash", "-c", shown), cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    if (sound := tmp_path / "hello.opus").exists():
        assert sound.read_bytes().startswith(b"OggS")
        return
    answer = json.loads(done.stdout)
    said = answer["text"] if "text" in answer else answer["choices"][0]["message"]["content"]
    assert said in {SAID, sentence("devstral")}
