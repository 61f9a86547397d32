"""What is printed for people."""

import io
from collections.abc import Mapping

import pytest

from swapper.ctl.status import screen
from swapper.ctl.terminal import Style, columns, plain, size, span

NOW = 1000.0
MODEL = {
    "name": "devstral", "state": "ready", "progress": None, "leases": 1, "waiting": 0, "since": 940.0, "failure": None,
}  # fmt: skip
GPU = {
    "gpu": 0, "policy": "exclusive", "residents": [], "name": "NVIDIA H100", "total": 80 << 30, "used": 20 << 30,
    "utilization": 12,
}  # fmt: skip
OK = {"status": "ok", "configuration": []}


def shown(*models: Mapping[str, object], gpu: Mapping[str, object] | None = None, **more: object) -> str:
    overview = {"models": list(models), "gpus": [{**GPU, **(gpu or {})}], "queue": [], "changes": [], **more}
    return "\n".join(screen(overview, OK, "http://host", NOW, Style(io.StringIO())))


def test_who_is_on_a_gpu() -> None:
    text = shown(MODEL, gpu={"residents": [{"model": "devstral", "share": 1.0, "measured": 19 << 30}]})
    assert "20.0 GiB of 80.0 GiB, busy 12 %  NVIDIA H100, exclusive" in text
    assert "  devstral  ready  1 request  all of it, 19.0 GiB in use  for 1 min" in text
    assert "▕██████                  ▏" in text
    assert "\x1b" not in text, "no colours where there is no terminal"


def test_a_gpu_that_cannot_be_seen_and_a_model_that_loads() -> None:
    model = MODEL | {"state": "starting", "progress": 43.4, "waiting": 3}
    unseen = dict.fromkeys(("name", "total", "used", "utilization"))
    text = shown(model, gpu={**unseen, "residents": [{"model": "devstral", "share": 0.3, "measured": None}]})
    assert "GPU 0  exclusive" in text
    assert "starting 43 %  1 request, 3 waiting  30%" in text


def test_models_elsewhere_failures_and_the_rest() -> None:
    failed = MODEL | {"name": "broken", "state": "failed", "failure": {"message": "no such file\nmore"}}
    stopped = [MODEL | {"name": f"other{n}", "state": "stopped"} for n in range(2)]
    text = shown(failed, *stopped)
    assert "  broken  failed  no such file\n" in text
    assert "2 models more, stopped" in text


def test_the_queue_and_the_last_changes() -> None:
    change = {"at": 990.0, "model": "devstral", "old": "starting", "new": "ready", "reason": "it answers",
              "lasted": 4.1}  # fmt: skip
    text = shown(MODEL | {"state": "stopped", "waiting": 2}, queue=["devstral"], changes=[change])
    assert "Waiting for a place: devstral (2 requests)" in text
    assert "devstral  ready  after 4.1 s it answers" in text


def test_a_refused_configuration_is_told_first() -> None:
    health = {"status": "degraded", "configuration": ["swapper.yaml:3: no such key"]}
    nothing: dict[str, list[object]] = {"models": [], "gpus": [], "queue": [], "changes": []}
    lines = list(screen(nothing, health, "u", NOW, Style(io.StringIO())))
    assert lines == ["swapper at u: configuration refused, the last good one goes on", "  swapper.yaml:3: no such key"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (9.96, "10.0 s"), (59, "59 s"), (60, "1 min"), (61, "1 min 1 s"), (3600, "1 h"),
     (5400, "1 h 30 min"), (86400 * 3 + 7200, "3 d 2 h")],
)  # fmt: skip
def test_spans(seconds: float, text: str) -> None:
    assert span(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"), [(None, "?"), (0, "0 B"), (2048, "2 KiB"), (3 << 20, "3.0 MiB"), (5 << 40, "5120.0 GiB")]
)
def test_sizes(count: int | None, text: str) -> None:
    assert size(count) == text


def test_columns_are_measured_without_colours() -> None:
    rows = [[("a", "\x1b[1ma\x1b[0m"), *plain("x")], plain("long", "y")]
    assert columns(rows) == ["\x1b[1ma\x1b[0m     x", "long  y"]
