"""The units that these tests start, stop and fail."""

import shutil
from collections.abc import Iterator

import pytest

from tests.system.host.units import GATE, READY, UNITS, systemctl, unit_name, write


@pytest.fixture(scope="module", autouse=True)
def units_in_place() -> Iterator[None]:
    for name in "abcd":
        write(name)
    write("fails", "echo no luck; exit 3")
    write("mute", "exec sleep infinity", service="TimeoutStartSec=1")
    write("slow", "exec sleep infinity", service="TimeoutStartSec=infinity")
    write("gated", f"cat {GATE}; {READY}")
    write("hung", service="WatchdogSec=5")
    write("stubborn", f'trap "" TERM; {READY.replace("exec ", "")}', service="TimeoutStopSec=1")
    write("parting", service=f"ExecStop=/bin/cat {GATE}")
    write("asserts", unit="AssertPathExists=/nonexistent")
    write("needy", unit=f"Requires={unit_name('fails')}\nAfter={unit_name('fails')}")
    write("broken", service="NoNewPrivileges=perhaps\nType=levitate\nExecStart=")
    write("gone", service="ExecStart=\nExecStart=/nonexistent")
    write("pinned", service='Environment=CUDA_VISIBLE_DEVICES=0,1 "TWO=a b=c"')
    (UNITS / unit_name("masked")).symlink_to("/dev/null")
    systemctl("daemon-reload")
    yield
    for path in (*UNITS.glob("llama@test-host-*"), *UNITS.glob("swapper-profile@test-host-*")):
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    systemctl("daemon-reload")


@pytest.fixture(autouse=True)
def units_at_rest(units_in_place: None) -> Iterator[None]:  # noqa: ARG001
    yield
    systemctl("stop", unit_name("*"))
    systemctl("reset-failed", unit_name("*"))
