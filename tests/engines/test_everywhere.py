"""A new engine is a template unit, a file in engines/, and its name in the few places that have to know it: these."""

import os
import re
from pathlib import Path

import pytest

from swapper.config.vocabulary import ENGINES as WORDS
from swapper.engines import ENGINES
from swapper.engines.paths import ASKED, LOOKED_AT
from tests.job.house import TEMPLATES

SOURCE = Path(os.environ.get("SWAPPER_TEST_SOURCE", Path(__file__).parents[2]))


def test_every_table_has_every_engine() -> None:
    assert ENGINES.keys() == WORDS.keys() == ASKED.keys() == LOOKED_AT.keys()
    assert set(TEMPLATES) == {f"{name}@*.service" for name in ENGINES}


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_is_known_to_systemd_polkit_and_the_package(name: str) -> None:
    unit = (SOURCE / "units" / f"{name}@.service").read_text()
    assert "RuntimeDirectory=swapper/%p@%i\n" in unit
    assert "launch.py --unconfigured %i\n" in unit
    assert "SWAPPER_INSTALL_HINT=" in unit
    (engines,) = re.findall(r"/\^\(([a-z|]+)\)@", (SOURCE / "packaging/polkit/50-swapper.rules").read_text())
    assert name in engines.split("|")
    assert f"'{name}@*.service'" in (SOURCE / "debian/swapper.prerm").read_text()
    (watched,) = re.findall(r"^PATTERNS: Final = (.*)", (SOURCE / "swapper/host/units.py").read_text(), re.MULTILINE)
    assert f'"{name}@*.service"' in watched
