"""Metrics of several engines in one exposition. Engines are doubles that say what they are told; sockets are real."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from swapper.router.api import engine_metrics, families
from swapper.router.api.engine_metrics import Scrape, scrape
from swapper.router.api.metrics import encode
from swapper.router.stats import Stats
from tests.lab.exposition import Scraped, read_openmetrics
from tests.router.conftest import Request, ScriptedEngine, answer

LLAMA = """# HELP llamacpp:prompt_tokens_total Number of prompt tokens processed, excluding cached tokens
# TYPE llamacpp:prompt_tokens_total counter
llamacpp:prompt_tokens_total 23
# HELP llamacpp:n_tokens_max Largest observed sequence length (prompt + generation)
# TYPE llamacpp:n_tokens_max counter
llamacpp:n_tokens_max 28
# HELP llamacpp:requests_processing Number of requests processing
# TYPE llamacpp:requests_processing gauge
llamacpp:requests_processing 1
"""
VLLM = """# HELP python_gc_objects_collected_total Objects collected during gc
# TYPE python_gc_objects_collected_total counter
python_gc_objects_collected_total{generation="0"} 10
# HELP process_resident_memory_bytes Resident memory size in bytes.
# TYPE process_resident_memory_bytes gauge
process_resident_memory_bytes 1000.0
# HELP vllm:prompt_tokens_total Number of prefill tokens processed.
# TYPE vllm:prompt_tokens_total counter
vllm:prompt_tokens_total{engine="0",model="x",model_name="asr"} 7
# HELP vllm:prompt_tokens_created Number of prefill tokens processed.
# TYPE vllm:prompt_tokens_created gauge
vllm:prompt_tokens_created{engine="0",model_name="asr"} 1.76e+09
# HELP vllm:time_to_first_token_seconds Histogram of time to first token in seconds.
# TYPE vllm:time_to_first_token_seconds histogram
vllm:time_to_first_token_seconds_bucket{engine="0",le="0.5",model_name="asr"} 1.0
vllm:time_to_first_token_seconds_bucket{engine="0",le="+Inf",model_name="asr"} 2.0
vllm:time_to_first_token_seconds_count{engine="0",model_name="asr"} 2.0
vllm:time_to_first_token_seconds_sum{engine="0",model_name="asr"} 1.25
"""


def exposed(scrapes: Sequence[Scrape], accept: str = "") -> str:
    counts = Stats(lambda _: False).counts()
    return encode(counts, families.Now((), 0, 0, 0), scrapes, accept)[0].decode()


def test_engines_families_are_merged_under_the_models_names() -> None:
    text = exposed([Scrape("a", LLAMA), Scrape("b", LLAMA.replace("23", "42")), Scrape("asr", VLLM)])
    found = Scraped.read(text)
    assert found.value("llamacpp:prompt_tokens_total", model="a") == 23
    assert found.value("llamacpp:prompt_tokens_total", model="b") == 42
    bucket = {"engine": "0", "le": "0.5", "model_name": "asr", "model": "asr"}
    assert found.value("vllm:time_to_first_token_seconds_bucket", **bucket) == 1
    for line in ("# TYPE llamacpp:prompt_tokens_total counter", "# TYPE process_resident_memory_bytes gauge"):
        assert text.count(line) == 1


def test_what_the_engine_calls_model_is_kept_under_another_name() -> None:
    found = Scraped.read(exposed([Scrape("asr", VLLM)]))
    of_engine = {"engine": "0", "model_name": "asr", "model": "asr", "exported_model": "x"}
    assert found.value("vllm:prompt_tokens_total", **of_engine) == 7
    found = Scraped.read(exposed([Scrape("a", '# TYPE x gauge\nx{model="m",exported_model="n"} 1\n')]))
    assert found.value("x", model="a", exported_model="n", exported_exported_model="m") == 1


def test_an_engines_process_is_not_the_routers() -> None:
    found = Scraped.read(exposed([Scrape("asr", VLLM)]))
    assert found.value("process_resident_memory_bytes", model="asr") == 1000
    assert found.value("process_resident_memory_bytes") > 1e6


def test_names_stay_as_the_engine_has_them() -> None:
    found = Scraped.read(exposed([Scrape("a", LLAMA)]))
    assert list(found.named("llamacpp:n_tokens_max")) == [({"model": "a"}, 28)]
    assert list(found.named("llamacpp:n_tokens_max_total")) == []


def test_openmetrics_takes_it_all() -> None:
    text = exposed([Scrape("a", LLAMA), Scrape("b", LLAMA), Scrape("asr", VLLM)], "application/openmetrics-text")
    names = {family.name for family in read_openmetrics(text)}
    assert {"llamacpp:prompt_tokens", "llamacpp:n_tokens_max", "vllm:time_to_first_token_seconds"} <= names
    assert not any(name.endswith("_created") for name in names)


def test_who_means_something_else_by_a_name_is_left_out() -> None:
    gauge, other = "# TYPE depth gauge\ndepth 1\n", '# TYPE depth histogram\ndepth_bucket{le="+Inf"} 1\n'
    found = Scraped.read(exposed([Scrape("a", gauge), Scrape("b", other)]))
    assert [(name, dict(of)) for name, of in found.samples if name.startswith("depth")] == [("depth", {"model": "a"})]


@pytest.mark.parametrize("text", [None, "", "no metrics at all {", "# TYPE x\n", "x{y} z\n", "<html></html>"])
def test_an_engine_without_metrics_is_left_out_and_that_is_told(text: str | None) -> None:
    found = Scraped.read(exposed([Scrape("a", LLAMA), Scrape("b", text)]))
    assert found.value("swapper_engine_scrape_ok", model="a") == 1
    assert found.value("swapper_engine_scrape_ok", model="b") == 0
    assert [name for name, of in found.samples if ("model", "b") in of] == ["swapper_engine_scrape_ok"]


async def test_engines_are_asked_at_once_and_none_is_waited_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_metrics, "PATIENCE", 5.0)  # which those who answer keep to, however busy the machine
    monkeypatch.setattr(engine_metrics, "MOST", 10_000)
    engines = {name: ScriptedEngine(tmp_path / f"{name}.sock") for name in ("good", "none", "silent", "endless", "cut")}

    async def good(request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:  # noqa: ARG001
        assert (request.method, request.target) == (b"GET", b"/metrics")
        writer.write(answer(LLAMA.encode()))

    async def none(request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:  # noqa: ARG001
        writer.write(answer(b'{"error": {"code": 501}}', status=b"501 Not Implemented"))

    async def silent(request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:  # noqa: ARG001
        await reader.read()

    async def endless(request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:  # noqa: ARG001
        writer.write(answer(b"x 1\n" * 10_000))

    async def cut(request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:  # noqa: ARG001
        writer.write(answer(LLAMA.encode())[:-10])
        await writer.drain()
        raise ConnectionError

    for script, engine in zip((good, none, silent, endless, cut), engines.values(), strict=True):
        engine.script = script
        await engine.start()
    asked = {name: str(engine.path) for name, engine in engines.items()} | {"gone": str(tmp_path / "gone.sock")}
    answers = {each.model: each.text for each in await scrape(asked)}
    assert answers == {"good": LLAMA, "none": None, "silent": None, "endless": None, "cut": None, "gone": None}
    for engine in engines.values():
        await engine.stop()
