"""The hub of these tests against the library's own downloads: what holds for them there holds for pulls here."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

from tests.pull.conftest import Desk

SCRIPT = """
import sys
from huggingface_hub import snapshot_download
snapshot_download(sys.argv[1], local_dir=sys.argv[2])
"""


def test_the_librarys_own_download_of_a_repository_works_at_it(desk: Desk, tmp_path: Path) -> None:
    importlib.import_module("huggingface_hub")
    files = {"config.json": b"{}", "model.safetensors": bytes(range(256)) * 4096, "sub/x.txt": b"x"}
    desk.hub.add("ada/folder", files)
    environment = {**os.environ, "HF_ENDPOINT": desk.hub.url, "HF_HUB_DISABLE_XET": "1", "HF_HOME": str(tmp_path),
                   "PYTHONPATH": os.pathsep.join(sys.path)}  # fmt: skip
    into = tmp_path / "into"
    subprocess.run([sys.executable, "-c", SCRIPT, "ada/folder", str(into)], check=True, env=environment)
    assert {name: (into / name).read_bytes() for name in files} == files


