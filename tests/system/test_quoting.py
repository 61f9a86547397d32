"""Whatever arguments and environment a model is given, its engine gets the same bytes: through real units.

The whole way is under test: YAML, generator, systemd's own parser, the launcher, exec. In the engine's place stands a
program that writes down what it was given.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from swapper.config import load
from swapper.core.model import instance_name
from swapper.engines import ENGINES

if os.geteuid() != 0 or not Path("/usr/lib/systemd/system/llama@.service").exists():
    pytest.skip("needs root in a booted machine with the package installed", allow_module_level=True)

CONFIG = Path("/etc/swapper/conf.d/zz-quoting.yaml")
DUMPS = Path("/var/cache/swapper/llama/quoting")
DUMP = """\
#!/usr/bin/python3
import json, os, sys
os.makedirs(os.environ["CACHE_DIRECTORY"] + "/quoting", exist_ok=True)
words = [list(os.fsencode(word)) for word in sys.argv[1:]]
variables = [[list(name), list(value)] for name, value in os.environb.items()]
with open(os.environ["CACHE_DIRECTORY"] + "/quoting/" + os.environ["DUMP"], "w") as file:
    json.dump([words, variables], file)
"""
SPECIAL = [
    *("%", "%%", "%n", "%i", "$", "$$", "$HOME", "${PATH}", '"', "'", "\\", "\\n", "\\x41", ";", "#", "\t", " ", ""),
    *("-", "@", ":", "+", "!", "|", "=", ",", "{", "}", "*", "~", "é", "…", "😀", "\u2028", "\ufeff"),
]

noncharacters = "".join(
    map(chr, [*range(0xFDD0, 0xFDF0), *(plane << 16 | low for plane in range(17) for low in (0xFFFE, 0xFFFF))])
)
characters = st.characters(exclude_categories=["Cs", "Cc"], exclude_characters=noncharacters)
texts = st.one_of(
    st.lists(st.sampled_from(SPECIAL), max_size=6).map("".join),
    st.text(characters, max_size=20),
    st.lists(st.one_of(st.sampled_from(SPECIAL), st.text(characters, max_size=3)), max_size=6).map("".join),
)
names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,12}", fullmatch=True).map("TEST_{}".format)
models = st.fixed_dictionaries({
    "args": st.lists(texts.map("--x{}".format) | texts.filter(lambda text: not text.startswith("-")), max_size=8),
    "env": st.dictionaries(names, texts, max_size=5),
    "name": st.text(st.one_of(st.sampled_from("aZ0-:_./ %$\\\"'é@"), characters), min_size=1, max_size=8).filter(
        lambda name: name == name.strip() and name[0] != "-" and "," not in name and len(instance_name(name)) <= 64
    ),
})  # fmt: skip


def systemctl(*words: str, check: bool = True) -> None:
    subprocess.run(["systemctl", *words], check=check, capture_output=True, timeout=60)


@pytest.fixture(scope="module", autouse=True)
def engine() -> Iterator[None]:
    """A program that writes down what it was given, in the place of llama-server, for models on the CPU."""
    program = Path("/usr/local/bin/swapper-test-dump")
    program.write_text(DUMP)
    program.chmod(0o755)
    yield
    program.unlink()
    CONFIG.unlink(missing_ok=True)
    systemctl("daemon-reload")


def written(number: int) -> tuple[list[bytes], dict[bytes, bytes]]:
    """What the program was given, as it wrote it down; each is read once."""
    file = DUMPS / str(number)
    words, variables = json.loads(file.read_text())
    file.unlink()
    return [bytes(word) for word in words], {bytes(name): bytes(value) for name, value in variables}


def configuration(models: list[dict[str, Any]]) -> str:
    """These models, each told where to write."""
    common = {"engine": "llama", "model": "/nowhere/x.gguf", "gpu": []}
    described = {
        model["name"]: {**common, "args": model["args"], "env": model["env"] | {"DUMP": str(number)}}
        for number, model in enumerate(models)
    }
    return yaml.safe_dump({"engines": {"llama": {"path": "/usr/local/bin/swapper-test-dump"}}, "models": described})


@settings(
    max_examples=12, deadline=None, phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)  # fmt: skip
@given(st.lists(models, min_size=6, max_size=8, unique_by=lambda model: str(model["name"])))
def test_an_engine_gets_what_the_configuration_says(models: list[dict[str, Any]]) -> None:
    CONFIG.write_text(configuration(models))
    config = load(CONFIG)
    systemctl("daemon-reload")
    units = [model.unit for model in config.models]
    systemctl("start", *units, check=False)  # it fails, since the program is no server and ends
    for model in config.models:
        words, variables = written(int(dict(model.env)["DUMP"]))
        assert words == [os.fsencode(word) for word in ENGINES["llama"].launch(model, config).argv[1:]]
        given = {os.fsencode(name): os.fsencode(value) for name, value in model.env}
        assert given.items() <= variables.items()
        assert b"NOTIFY_SOCKET" not in variables
    systemctl("reset-failed", *units)
