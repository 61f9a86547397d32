"""What /metrics tells, beside what clients saw: real requests, real swaps, real llama-servers."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable

import pytest
from prometheus_client.samples import Sample

from tests.job import house
from tests.job.house import Answer, ask, chat, configure, question, run, sentence, show, state, stream, until, watching
from tests.lab import dashboard
from tests.lab.exposition import Scraped, read_openmetrics

CHAT = "/v1/chat/completions"
HELLO = [{"role": "user", "content": "Hello!"}]


def scrape() -> Scraped:
    """What Prometheus would find."""
    answer = ask("GET", "/metrics")
    assert answer.status == 200, answer.body
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    return Scraped.read(answer.body.decode())


def counted(found: Scraped, name: str, *labels: str) -> dict[tuple[str, ...], float]:
    """Of a counter, what is above zero, by some of its labels."""
    return {tuple(of[label] for label in labels): value for of, value in found.named(name) if value}


def main_pid(unit: str) -> int:
    """The engine's process."""
    return int(show(unit, "MainPID"))


def timed(ask_it: Callable[[], Answer]) -> float:
    """How long a good answer took, in seconds."""
    began = time.monotonic()
    answer = ask_it()
    assert answer.status == 200, answer.body
    return time.monotonic() - began


def test_requests_are_counted_by_model_route_and_status() -> None:
    for name in ("alpha", "first", "alpha", "gamma"):
        assert chat(name).status == 200
    for _ in range(2):
        assert ask("POST", "/v1/completions", {"model": "alpha", "prompt": "Hello!", "max_tokens": 3}).status == 200
    assert ask("POST", "/v1/embeddings", {"model": "alpha", "input": "Hello!"}).status in {400, 501}
    for number in range(20):
        assert chat(f"made-up-{number}").status == 404
    assert ask("POST", CHAT, b"{").status == 400
    found = scrape()
    counts = counted(found, "swapper_requests_total", "model", "route", "status")
    refused = counts.pop(("alpha", "/v1/embeddings", "501"), 0) + counts.pop(("alpha", "/v1/embeddings", "400"), 0)
    assert refused == 1
    assert counts == {
        ("alpha", CHAT, "200"): 3,
        ("gamma", CHAT, "200"): 1,
        ("alpha", "/v1/completions", "200"): 2,
        ("", CHAT, "404"): 20,
        ("", CHAT, "400"): 1,
    }
    assert found.value("swapper_requests_failed_total", model="", code="model_not_found") == 20


def test_tokens_are_those_that_the_client_was_told_of() -> None:
    told = {"in": 0, "out": 0}

    def note(usage: dict[str, int], into: str = "prompt_tokens", out: str = "completion_tokens") -> None:
        told["in"] += usage[into]
        told["out"] += usage[out]

    for content in ("Hello!", "Hello, who are you? Say it again.", "a" * 500):
        note(chat("alpha", content).json["usage"])
    note(ask("POST", "/v1/completions", {"model": "alpha", "prompt": "Hello!", "max_tokens": 30}).json["usage"])
    body = {"model": "alpha", "messages": HELLO, "max_tokens": 30}
    note(ask("POST", "/v1/messages", body).json["usage"], "input_tokens", "output_tokens")
    note(ask("POST", "/v1/responses", {"model": "alpha", "input": "Hello!"}).json["usage"], "input_tokens",
         "output_tokens")  # fmt: skip
    streamed = ask("POST", CHAT, question("alpha", stream=True, stream_options={"include_usage": True}))
    events = [json.loads(line[6:]) for line in streamed.body.decode().splitlines() if line.startswith("data: {")]
    note(next(event["usage"] for event in events if event.get("usage")))
    found = scrape()
    assert {way: found.get("swapper_tokens_total", model="alpha", direction=way) for way in told} == told


def test_times_add_up_to_what_the_client_waited() -> None:
    house.write_gguf("slow", size_mb=300)
    configure("models:\n  slow: {engine: llama, model: slow.gguf, context: 2048, args: [-lm, none]}\n")
    assert ask("GET", "/health").status == 200  # the router's own start is in none of its figures
    cold = timed(lambda: chat("slow"))
    warm = sum(timed(lambda: chat("slow")) for _ in range(5))
    found = scrape()
    names = ("queue", "load", "first_byte", "duration")
    queue, load, first, duration = (found.value(f"swapper_request_{name}_seconds_sum", model="slow") for name in names)
    counts = [found.value(f"swapper_request_{name}_seconds_count", model="slow") for name in names]
    assert counts == [6, 1, 6, 6]
    assert queue + load <= first <= duration <= cold + warm
    # Five sixths of the requests took next to nothing: whatever is missing is the way to the router and back.
    assert duration >= (cold + warm) / 2
    assert 0.1 < load <= cold
    assert queue < 0.5
    changes = ask("GET", "/api/models").json["changes"]
    loaded = next(c["lasted"] for c in changes if (c["model"], c["old"], c["new"]) == ("slow", "starting", "ready"))
    assert found.value("swapper_model_load_seconds_sum", model="slow") == pytest.approx(loaded, abs=0.05)
    assert found.value("swapper_model_load_seconds_count", model="slow") == 1


def test_who_waits_behind_another_is_in_the_queue_and_not_in_a_load() -> None:
    configure("models:\n  alpha: {engine: llama, model: alpha.gguf, context: 65536, concurrency: 1}\n")
    assert chat("alpha").status == 200
    before = scrape()
    waited: list[float] = []
    with stream("alpha") as running:
        asking = threading.Thread(target=lambda: waited.append(timed(lambda: chat("alpha"))))
        asking.start()
        until(lambda: scrape().value("swapper_model_waiting", model="alpha") == 1, "the second request waits")
        began = time.monotonic()
        assert scrape().value("swapper_model_leases", model="alpha") == 1
        for _ in range(200):
            running.readline()
        at_least = time.monotonic() - began
    asking.join(house.PATIENCE)
    found = scrape()
    name = "swapper_request_queue_seconds_sum"
    queue = found.value(name, model="alpha") - before.value(name, model="alpha")
    assert at_least <= queue <= waited[0]
    name = "swapper_request_load_seconds_sum"
    assert found.get(name, model="alpha") == before.get(name, model="alpha")
    assert found.value("swapper_model_waiting", model="alpha") == 0


def test_starts_and_stops_have_causes() -> None:
    configure(f"{house.BASIC}  idle: {{engine: llama, gpu: 2, ttl: 300ms, model: alpha.gguf}}\n")
    assert chat("idle").status == 200
    for _ in range(3):
        scrape()  # no use of the model
    house.wait_for("idle", "stopped")
    for name in ("alpha", "beta", "alpha"):
        assert chat(name).content == sentence(name)
    assert ask("POST", "/api/models/alpha/unload").status == 200
    assert chat("beta").status == 200
    with watching("beta", "stopped") as stopped:
        run("systemctl", "stop", "llama@beta")
        stopped()
    assert chat("alpha").status == 200
    with watching("alpha", "failed") as failed:
        os.kill(main_pid("llama@alpha"), signal.SIGKILL)
        failed()
    found = scrape()
    assert counted(found, "swapper_model_stops_total", "model", "cause") == {
        ("idle", "idle"): 1,
        ("alpha", "swap"): 1,
        ("beta", "swap"): 1,
        ("alpha", "operator"): 1,
        ("beta", "external"): 1,
        ("alpha", "failure"): 1,
    }
    starts = counted(found, "swapper_model_starts_total", "model", "result")
    assert starts == {("idle", "ready"): 1, ("alpha", "ready"): 3, ("beta", "ready"): 2}
    assert {found.value("swapper_model_state", model=name, state="ready") for name in ("alpha", "beta", "idle")} == {0}


def test_a_start_that_fails_is_counted_as_that() -> None:
    (house.MODELS / "broken.gguf").write_bytes(b"GGUF, or so it says")
    configure("models:\n  broken: {engine: llama, model: broken.gguf}\n")
    assert chat("broken").status == 503
    found = scrape()
    assert counted(found, "swapper_model_starts_total", "model", "result") == {("broken", "failure"): 1}
    assert found.get("swapper_model_load_seconds_count") == 0
    assert found.value("swapper_requests_failed_total", model="broken", code="model_failed") == 1


def test_engines_metrics_are_there_under_their_models_names() -> None:
    words = {name: sum(chat(name).json["usage"]["completion_tokens"] for _ in range(n)) for name, n in
             (("alpha", 1), ("gamma", 3))}  # fmt: skip
    found = scrape()
    for name, count in words.items():
        assert found.value("swapper_engine_scrape_ok", model=name) == 1
        assert found.value("llamacpp:tokens_predicted_total", model=name) == count
        assert found.value("swapper_gpu_held_ratio", model=name, gpu=str(int(name == "gamma"))) == 1
    assert [labels for labels, _ in found.named("swapper_engine_scrape_ok") if labels["model"] == "beta"] == []
    assert state("beta") == "stopped"


def test_an_engine_that_hangs_or_has_no_metrics_is_left_out() -> None:
    off = 'env: {LLAMA_ARG_ENDPOINT_METRICS: "0"}'
    configure(house.BASIC.replace("gamma.gguf,", f"gamma.gguf, {off},") + "  delta: {engine: llama, gpu: 2, "
              "model: beta.gguf}\n")  # fmt: skip
    for name in ("alpha", "gamma", "delta"):
        assert chat(name).status == 200
    hanging = main_pid("llama@delta")
    os.kill(hanging, signal.SIGSTOP)
    try:
        began = time.monotonic()
        found = scrape()
        took = time.monotonic() - began
    finally:
        os.kill(hanging, signal.SIGCONT)
    answered = {labels["model"]: value for labels, value in found.named("swapper_engine_scrape_ok")}
    assert answered == {"alpha": 1, "gamma": 0, "delta": 0}
    assert {labels["model"] for labels, _ in found.named("llamacpp:requests_processing")} == {"alpha"}
    assert 0.9 < took < 5


def test_openmetrics_for_those_who_ask_for_it() -> None:
    assert chat("alpha").status == 200
    headers = {"Accept": "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3"}
    answer = ask("GET", "/metrics", headers=headers)
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    samples: list[Sample] = [sample for family in read_openmetrics(answer.body.decode()) for sample in family.samples]
    total = next(sample for sample in samples if sample.name == "swapper_requests_total")
    assert (total.labels["model"], total.value) == ("alpha", 1)


def test_the_routers_process_is_seen_from_within_its_sandbox() -> None:
    found = scrape()
    assert 20e6 < found.value("process_resident_memory_bytes") < 200e6
    assert 0 < found.value("process_cpu_seconds_total") < 60
    assert abs(found.value("process_start_time_seconds") - time.time()) < 600
    assert found.value("process_open_fds") > 5
    assert found.value("swapper_connections") == 1


def test_the_dashboard_asks_for_what_there_is() -> None:
    assert chat("alpha").status == 200
    asked = {name for name in dashboard.asked() if not name.startswith("vllm:")}
    assert {name for name in asked if name.startswith("llamacpp:")}
    assert asked - dashboard.given(scrape()) == set()
    installed = run("dpkg-query", "--listfiles", "swapper").splitlines()
    assert "/usr/share/swapper/grafana/swapper.json" in installed
