"""What the configuration says of requests: filters, limits, keys, and who may ask."""

import json

import pytest

from swapper.config import Filters, KeySettings, Model
from swapper.core.model import Turns
from tests.config.conftest import Load, Mistakes


def only(load_text: Load, keys: str, engine: str = "llama") -> Model:
    (model,) = load_text(f"models: {{x: {{engine: {engine}, model: x, {keys}}}}}").models
    return model


def test_filters_become_json(load_text: Load) -> None:
    model = only(
        load_text,
        'filters: {set: {temperature: 0.7, min_p: 1e-5, a: [true, no, ~, "1", text, 010, 2026-11-22], '
        "chat_template_kwargs: {enable_thinking: false}}, strip: [top_k, seed]}",
    )
    assert model.filters is not None
    assert model.filters.strip == ("top_k", "seed")
    assert {name: json.loads(text) for name, text in model.filters.set} == {
        "temperature": 0.7,
        "min_p": 1e-5,
        "a": [True, False, None, "1", "text", "010", "2026-11-22"],
        "chat_template_kwargs": {"enable_thinking": False},
    }


def test_without_filters_there_are_none(load_text: Load) -> None:
    assert only(load_text, "filters: {}").filters is None
    assert only(load_text, "filters: {strip: top_k}").filters == Filters((), ("top_k",))


def test_limits_of_requests(load_text: Load) -> None:
    model = only(load_text, "queue_timeout: 30s, loading_message: true")
    assert (model.queue_timeout, model.loading_message) == (30, True)
    model = only(load_text, "ttl: 1h")
    assert (model.queue_timeout, model.loading_message) == (None, False)


def test_conversations_are_kept_only_where_that_is_said(load_text: Load) -> None:
    assert only(load_text, "keep_conversations: true").keep_conversations
    assert not only(load_text, "ttl: 1h").keep_conversations


@pytest.mark.parametrize(("keys", "steps"), [("priority: low", -1), ("priority: high", 1), ("ttl: 1h", 0)])
def test_priorities_are_steps(load_text: Load, keys: str, steps: int) -> None:
    config = load_text(f"models: {{x: {{engine: llama, model: x, {keys}}}}}\nkeys: {{alice: {{priority: high}}}}")
    assert config.spec(config.models[0]).priority == steps
    assert config.keys == (KeySettings("alice", priority=1),)


def test_turns(load_text: Load) -> None:
    assert load_text("turns: {min_hold: 2s, swap_share: 12.5%}").turns == Turns(2.0, 0.125)
    assert load_text("turns: {}").turns == Turns()


@pytest.mark.parametrize(
    ("engine", "keys", "limit"),
    [
        ("vllm", "args: [--max-num-seqs, 8]", 8),
        ("vllm", "args: [--max-num-seqs=8]", 8),
        ("vllm", "args: [--max-num-seqs=8], concurrency: 3", 3),
        ("vllm", "args: [--max-num-seqs]", None),
        ("llama", "concurrency: 500", 256),
        ("llama", "ttl: never", 256),
    ],
)
def test_how_many_requests_reach_an_engine(load_text: Load, engine: str, keys: str, limit: int | None) -> None:
    config = load_text(f"models: {{x: {{engine: {engine}, model: x, {keys}}}}}")
    assert config.spec(config.models[0]).concurrency == limit


@pytest.mark.parametrize(
    ("engine", "keys", "incapable", "not_excluded"),
    [
        ("llama", "ttl: never", {"transcription", "speech", "images"}, {"embeddings", "rerank", "chat"}),
        ("llama", "mmproj: p", {"speech", "images"}, {"transcription"}),
        ("llama", "args: [--mmproj-url=x]", {"speech"}, {"transcription"}),
        ("llama", "env: {LLAMA_ARG_MMPROJ: /p}", {"speech"}, {"transcription"}),
        ("llama", "args: [-hf, org/repo]", {"speech"}, {"transcription"}),
        ("vllm", "ttl: never", set(), {"transcription", "speech", "chat"}),
        ("vllm", "capabilities: [transcription]", {"chat", "speech"}, {"transcription"}),
    ],
)
def test_what_a_model_surely_cannot_do(
    load_text: Load, engine: str, keys: str, incapable: set[str], not_excluded: set[str]
) -> None:
    model = only(load_text, keys, engine)
    assert incapable <= model.incapable
    assert not not_excluded & model.incapable


def test_keys_hosts_and_origins(load_text: Load) -> None:
    config = load_text("""
        keys: {alice: {concurrency: 4}, bob: {}}
        router: {hosts: [GPU.lan., box], origins: ["https://Chat.example.com", "http://localhost:3000", "*"]}
    """)
    assert config.keys == (KeySettings("alice", 4), KeySettings("bob", None))
    assert config.router.hosts == ("gpu.lan", "box")
    assert config.router.origins == ("https://chat.example.com", "http://localhost:3000", "*")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("filters: {set: {model: y}}", "'filters' cannot change 'model' (it chooses the model)"),
        ("filters: {strip: [stream]}", "'filters' cannot change 'stream'"),
        ("filters: {sett: {}}", "'filters' has no 'sett' (did you mean 'set'?)"),
        ("filters: {set: {a: 1e400}}", "'filters': 'a' wants what JSON can say"),
        ("filters: {set: [a]}", "'filters': 'set' wants 'key: value' lines"),
        ("queue_timeout: 0", "model 'x': 'queue_timeout' wants a time that is longer than 0"),
    ],
)
def test_mistakes_in_models(mistakes: Mistakes, text: str, message: str) -> None:
    (found,) = mistakes(f"models: {{x: {{engine: llama, model: x, {text}}}}}")
    assert message in found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("router: {hosts: ['http://x']}", "'hosts' wants host names, not 'http://x'"),
        ("router: {hosts: ['x:80']}", "'hosts' wants host names"),
        ("router: {origins: ['example.com']}", "'origins' wants origins, not 'example.com'"),
        ("router: {origins: ['https://example.com/']}", "'origins' wants origins"),
        ("keys: {alice: {concurrency: 0}}", "key 'alice': 'concurrency' wants a whole number of at least 1"),
        ("keys: {alice: {scope: admin}}", "key 'alice' has no 'scope'"),
    ],
)
def test_mistakes_elsewhere(mistakes: Mistakes, text: str, message: str) -> None:
    (found,) = mistakes(text)
    assert message in found
