"""What is written in a configuration is what the rest of the house gets."""

import json
import re
from ipaddress import ip_address
from pathlib import Path

import pytest

from swapper.config import Bytes, Config, GpuSettings, Model, Share
from swapper.core.model import WHOLE, Demand, Policy
from swapper.outside.addresses import Allowed
from tests.config.conftest import Load

SHIPPED = Path(__file__).parents[2] / "config" / "swapper.yaml"


def only(config: Config) -> Model:
    (model,) = config.models
    return model


def test_an_empty_file_is_a_configuration(load_text: Load) -> None:
    assert load_text("") == Config()
    assert load_text("# nothing\nmodels:\n") == Config()


def test_a_model_has_defaults(load_text: Load) -> None:
    model = only(load_text("models: {x: {engine: llama, model: x.gguf}}"))
    assert model.model == Path("/var/lib/swapper/models/x.gguf")
    assert (model.gpus, model.gpu_memory, model.ttl, model.load_timeout) == ((0,), None, None, 600)
    assert (model.preload, model.pinned, model.network) == (False, False, False)
    assert model.unit == "llama@x.service"
    assert model.socket == Path("/run/swapper/llama@x/http.sock")
    assert model.capabilities == {"chat", "completions"}


def test_every_key_of_a_model(load_text: Load) -> None:
    config = load_text(
        """
        models_dir: /models
        gpus: {0: {memory: 24GiB, policy: pack}}
        models:
          voice:
            engine: llama
            model: voice.gguf
            mmproj: /else/where.gguf
            gpu: [1, 0]
            gpu_memory: 6GiB
            context: 8192
            aliases: [asr, Qwen/ASR]
            args: [--flag, 010, yes, 3.10]
            env: {A: 1, B: on, C: "", _D: $%"'}
            ttl: 10min
            preload: true
            pinned: yes
            load_timeout: 90
            drain_timeout: 1h 30min
            concurrency: 4
            queue: 0
            network: true
            memory_max: 32GB
            capabilities: [audio, transcription]
    """.replace("gpus: {0:", "gpus: {1: {memory: 12GiB}, 0:")
    )
    model = only(config)
    assert (model.model, model.mmproj) == (Path("/models/voice.gguf"), Path("/else/where.gguf"))
    assert (model.gpus, model.gpu_memory) == ((0, 1), Bytes(6 << 30))
    assert (model.context, model.aliases) == (8192, ("asr", "Qwen/ASR"))
    assert model.args == ("--flag", "010", "yes", "3.10")
    assert model.env == (("A", "1"), ("B", "on"), ("C", ""), ("_D", "$%\"'"))
    assert (model.ttl, model.load_timeout, model.drain_timeout) == (600, 90, 5400)
    assert model.preload
    assert model.pinned
    assert model.network
    assert (model.concurrency, model.queue, model.memory_max) == (4, 0, 32_000_000_000)
    assert model.capabilities == {"audio", "transcription"}
    assert model.where.line == 5
    assert config.gpus == (GpuSettings(0, 24 << 30, Policy.PACK), GpuSettings(1, 12 << 30))
    assert config.spec(model).demands == (Demand(0, WHOLE // 4), Demand(1, WHOLE // 2))


def test_shares_and_whole_gpus(load_text: Load) -> None:
    config = load_text("""
        models:
          share: {engine: vllm, model: a, gpu_memory: 30%}
          whole: {engine: vllm, model: b, gpu: 2}
          none: {engine: vllm, model: c, gpu: []}
    """)
    share, whole, none = config.models
    assert share.gpu_memory == Share(300_000)
    assert config.spec(share).demands == (Demand(0, 300_000),)
    assert config.spec(whole).demands == (Demand(2, WHOLE),)
    assert config.spec(none).demands == ()
    assert config.gpus == (GpuSettings(0), GpuSettings(2))


def test_speech_takes_no_file_and_no_gpu(load_text: Load) -> None:
    config = load_text("models: {voice: {engine: speech}, herr: {engine: speech, gpu: [], args: [--language, de]}}")
    for model in config.models:
        assert model.capabilities == {"speech"}
        assert {"chat", "transcription", "images"} <= model.incapable
        assert "speech" not in model.incapable
        assert config.spec(model).demands == ()
    assert config.gpus == ()


def test_bytes_are_rounded_up_to_parts(load_text: Load) -> None:
    config = load_text("""
        gpus: {0: {memory: 3GB}}
        models: {x: {engine: llama, model: x, gpu_memory: 1GB}}
    """)
    assert config.parts(only(config), 0) == 333_334


def test_the_engine_limits_concurrency_where_nobody_does(load_text: Load) -> None:
    config = load_text("""
        models:
          many: {engine: llama, model: a, concurrency: 9999}
          some: {engine: llama, model: b, concurrency: 2}
          any: {engine: vllm, model: c}
    """)
    assert [config.spec(model).concurrency for model in config.models] == [256, 2, None]


def test_names_and_aliases_resolve_and_near_ones_are_offered(load_text: Load) -> None:
    config = load_text("""
        models:
          devstral: {engine: llama, model: a, aliases: [code]}
          Qwen/VL: {engine: vllm, model: b, aliases: [vision]}
    """)
    devstral, qwen = config.models
    assert config.resolve("devstral") is config.resolve("code") is devstral
    assert config.resolve("Qwen/VL") is qwen
    assert config.resolve("Devstral") is None
    assert config.near("Devstrall") == ("devstral",)
    assert config.near("qwen/vl") == ("Qwen/VL",)
    assert config.near("nothing like it") == ()
    assert qwen.unit == "vllm@Qwen@2fVL.service"


def test_later_files_win_and_models_add_up(load_text: Load) -> None:
    config = load_text(
        """
        models_dir: /one
        router: {max_body: 1MiB, idle_exit: 5s, read_ahead: false, early_start: false}
        gpus: {0: {memory: 1GiB}}
        models: {a: {engine: llama, model: a}}
        """,
        """
        models_dir: /two
        router: {idle_exit: never}
        gpus: {0: {policy: pack}}
        media:
          allow: [10.0.0.0/8, Files.example.com, 'nas:80', '10.1.2.3:80', 'fd00::/8', '[::1]:80', '[::2]']
          max_bytes: 1MB
          timeout: 500ms
        engines: {vllm: {path: /opt/v/bin/vllm}, llama: {search: [/a, /b]}}
        models: {b: {engine: llama, model: b}}
        """,
    )
    assert [str(model.model) for model in config.models] == ["/two/a", "/two/b"]
    assert (config.router.max_body, config.router.idle_exit) == (1 << 20, None)
    assert (config.router.read_ahead, Config().router.read_ahead) == (False, True)
    assert (config.router.early_start, Config().router.early_start) == (False, True)
    assert config.gpus == (GpuSettings(0, 1 << 30, Policy.PACK),)
    allowed = ("10.0.0.0/8", "files.example.com", "nas:80", "10.1.2.3/32:80", "fd00::/8", "[::1/128]:80", "::2/128")
    assert config.media.allow == allowed
    assert Allowed(allowed).permits("::1", ip_address("::1"), 80), "the router reads it as it was meant"
    assert (config.media.max_bytes, config.media.timeout) == (1_000_000, 0.5)
    assert config.engines["vllm"].path == Path("/opt/v/bin/vllm")
    assert config.engines["llama"].search == (Path("/a"), Path("/b"))


def test_anchors_and_merge_keys(load_text: Load) -> None:
    config = load_text("""
        models:
          a: &usual {engine: llama, model: a, ttl: 1h, context: 512}
          b: {<<: *usual, model: b, ttl: never}
    """)
    a, b = config.models
    assert (a.ttl, b.ttl) == (3600, None)
    assert (b.engine, b.context, b.model.name) == ("llama", 512, "b")


@pytest.mark.parametrize(
    ("keys", "can"),
    [
        ("mmproj: p", {"chat", "completions", "vision"}),
        ("args: [--embeddings]", {"chat", "completions", "embeddings"}),
        ("args: [--reranking]", {"rerank"}),
        ("mmproj: p, capabilities: [audio]", {"audio"}),
    ],
)
def test_capabilities_are_those_that_the_configuration_shows(load_text: Load, keys: str, can: set[str]) -> None:
    assert only(load_text(f"models: {{x: {{engine: llama, model: x, {keys}}}}}")).capabilities == can


def test_the_shipped_file_has_the_models_that_it_is_for(load_text: Load) -> None:
    config = load_text(SHIPPED.read_text())
    shapes = {
        model.name: (model.engine, model.gpus, model.gpu_memory, model.context, model.images, model.aliases)
        for model in config.models
    }
    assert shapes.keys() == {
        "glm-47-flash", "glm-47-flash-q", "devstral", "qwen-coder", "qwen3-asr-0.6b", "qwen3-vl-4b", "espeak",
    }  # fmt: skip
    assert shapes["devstral"] == ("llama", (0,), None, 32768, None, ("code",))
    assert shapes["qwen3-asr-0.6b"] == ("vllm", (0,), Share(300_000), 8192, None, ("asr", "transcription"))
    assert shapes["espeak"] == ("speech", (), None, None, None, ("tts",))
    aliases = ("qwen3-vl-4b-vllm", "vision", "vl", "ocr")
    assert shapes["qwen3-vl-4b"] == ("vllm", (0,), Share(400_000), 16384, 4, aliases)


def test_what_is_written_of_speech_is_valid(load_text: Load) -> None:
    page = SHIPPED.parents[1].joinpath("docs", "speech.md").read_text()
    ours, theirs = re.findall(r"^```yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert [model.capabilities for model in load_text(ours).models] == [{"speech"}] * 2
    (more,) = re.findall(r"^        (gpu_memory: .*\n)        (args: .*\n) {15}(.*\n)", page, re.MULTILINE)
    packed = re.sub(r"    args: .*\n", f"    {more[0]}    {more[1]}           {more[2]}", theirs)
    config = load_text("gpus: {0: {policy: pack}}\n" + packed)
    (model,) = config.models
    assert model.gpu_memory == Share(400_000)
    assert model.capabilities == {"speech"}
    assert "chat" in model.incapable
    stages = json.loads(model.args[-1])
    assert sum(stage["gpu_memory_utilization"] for stage in stages.values()) == config.parts(model, 0) / WHOLE


def test_what_the_shipped_file_shows_in_comments_is_valid(load_text: Load) -> None:
    text = SHIPPED.read_text()
    examples = re.findall(r"^# (?:engines|media|router):\n(?:#   .*\n)+", text, re.MULTILINE)
    config = load_text("".join(re.sub("^# ", "", example, flags=re.MULTILINE) for example in examples))
    assert config.engines.keys() == {"vllm", "llama"}
    assert config.media.allow
    assert config.router.idle_exit == 60
