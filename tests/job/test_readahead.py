"""While one model drains, the files of the next are read into the page cache, by the installed router."""

import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.job import house
from tests.job.house import chat, configure, journal, run, sentence, show, state, stream, until, watching
from tests.lab.cache import forget, in_cache
from tests.vllm import rig

SIZE_MB = 100
BUILT = Path("/opt/built/bin")
BOTH = f"""
router: {{read_ahead: AHEAD}}
engines: {{llama: {{search: [{BUILT}]}}}}
models:
  alpha: {{engine: vllm, model: alpha}}
  heavy: {{engine: llama, model: heavy.gguf, context: 2048}}
"""


@pytest.fixture(scope="module")
def library() -> Iterator[Path]:
    """A large library of a llama-server that somebody has built, real bytes. The victim is of the other engine."""
    BUILT.mkdir(parents=True)
    shutil.copy("/usr/bin/llama-server", BUILT)
    library = BUILT / "libggml-large.so"
    library.write_bytes(os.urandom(1 << 20) * SIZE_MB)
    with rig.standin():
        rig.write_folder("alpha", sentence("alpha"))
        yield library
        house.reset()
    shutil.rmtree(BUILT.parent)


def said() -> list[str]:
    """What the router that runs has said of reading."""
    now = f"_SYSTEMD_INVOCATION_ID={show('swapper', 'InvocationID')}"
    return [line for line in journal("swapper", now, "MODEL=heavy").splitlines() if "read ahead" in line]


@pytest.mark.parametrize("ahead", [True, False])
def test_what_the_next_model_needs_is_in_the_cache_before_the_stream_of_the_one_before_has_ended(
    library: Path, ahead: bool
) -> None:
    path = house.write_gguf("heavy", size_mb=SIZE_MB)
    path.write_bytes(path.read_bytes())  # no holes: these cost no reading
    configure(BOTH.replace("AHEAD", str(ahead).lower()))
    assert chat("alpha").content == sentence("alpha")
    size = path.stat().st_size
    with stream("alpha"):
        for file in (path, library):
            forget(file)
            assert not in_cache(file, size // 2, 1 << 20)
        answers: list[str] = []
        with watching("alpha", "draining") as draining:
            asking = threading.Thread(target=lambda: answers.append(chat("heavy").content))
            asking.start()
            draining()
        if ahead:
            until(lambda: in_cache(library, 0, SIZE_MB << 20), "the engine's library is in the cache")
            until(lambda: in_cache(path, 0, size), "the file is in the cache")
            until(lambda: len(said()) == 1, "the router tells of it")
            assert " of its engine's read ahead in " in said()[0]
        else:
            assert not in_cache(library, size // 2, 1 << 20)
            assert not in_cache(path, size // 2, 1 << 20)
        assert state("heavy") == "stopped"
    asking.join(house.PATIENCE)
    assert answers == [sentence("heavy")]
    assert len(said()) == int(ahead)
    run("systemctl", "stop", "llama@heavy")
    path.unlink()
