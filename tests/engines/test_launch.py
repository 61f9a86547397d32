"""Command lines: what each key of a model becomes."""

from dataclasses import replace
from pathlib import Path

from swapper.config import Bytes, Config, EngineSettings, GpuSettings, Model, Share
from swapper.config.vocabulary import ENGINES as WORDS
from swapper.engines import ENGINES

LLAMA = Model("devstral", "llama", Path("/m/devstral.gguf"))
VLLM = Model("qwen/vl", "vllm", Path("/m/qwen"))
SPEECH = Model("voice", "speech", Path("/m"), gpus=(), concurrency=2, args=("--language", "de"))


def argv(model: Model, config: Config | None = None) -> tuple[str, ...]:
    return ENGINES[model.engine].launch(model, config or Config()).argv


def test_configuration_and_engines_know_the_same_engines() -> None:
    assert ENGINES.keys() == WORDS.keys()
    assert all(name == engine.name for name, engine in ENGINES.items())


def test_llama_with_nothing_said() -> None:
    assert argv(LLAMA) == (
        *("llama-server", "--model", "/m/devstral.gguf", "--host", "/run/swapper/llama@devstral/http.sock"),
        *("--alias", "devstral", "--metrics"),
    )


def test_llama_with_everything_said() -> None:
    model = replace(LLAMA, context=8192, mmproj=Path("/m/p.gguf"), concurrency=2, args=("--no-ui", "-lm", "none"))
    assert argv(model)[len(argv(LLAMA)) - 1 :] == (
        *("--ctx-size", "8192", "--mmproj", "/m/p.gguf", "--parallel", "2", "--kv-unified", "--metrics"),
        *("--no-ui", "-lm", "none"),
    )


def test_who_speaks_of_metrics_decides() -> None:
    assert argv(replace(LLAMA, args=("--metrics",))).count("--metrics") == 1
    assert "--metrics" not in argv(replace(LLAMA, env=(("LLAMA_ARG_ENDPOINT_METRICS", "0"),)))


def test_conversations_are_kept_where_that_is_said() -> None:
    kept = ENGINES["llama"].launch(replace(LLAMA, keep_conversations=True, env=(("A", "b"),)), Config())
    assert kept.argv[len(argv(LLAMA)) :] == (
        *("--slot-save-path", "/run/swapper/llama@devstral/conversations", "--slot-prompt-similarity", "0.5"),
    )
    assert kept.environment == (("LLAMA_ARG_CACHE_IDLE_SLOTS", "0"), ("A", "b")), "what the model says itself wins"
    assert ENGINES["llama"].launch(LLAMA, Config()).environment == ()


def test_vllm_with_nothing_said() -> None:
    assert argv(VLLM) == (
        *("vllm", "serve", "/m/qwen", "--uds", "/run/swapper/vllm@qwen@2fvl/http.sock"),
        *("--served-model-name", "qwen/vl"),
    )


def test_vllm_answers_to_all_names_and_takes_its_share() -> None:
    model = replace(VLLM, aliases=("vl", "ocr"), context=16384, images=4, gpu_memory=Share(300_000), args=("--x",))
    assert argv(model)[5:] == (
        *("--served-model-name", "qwen/vl", "vl", "ocr", "--max-model-len", "16384"),
        *("--gpu-memory-utilization", "0.3", "--limit-mm-per-prompt", '{"image": 4}', "--x"),
    )


def test_vllm_in_bytes_on_two_gpus_takes_the_larger_share() -> None:
    config = Config(gpus=(GpuSettings(0, 24 << 30), GpuSettings(1, 12 << 30)))
    model = replace(VLLM, gpus=(0, 1), gpu_memory=Bytes(6 << 30))
    assert argv(model, config)[-4:] == ("--gpu-memory-utilization", "0.5", "--tensor-parallel-size", "2")


def test_speech() -> None:
    launch = ENGINES["speech"].launch(SPEECH, Config())
    assert launch.argv == (
        *("/usr/libexec/swapper/swapper-speech", "--socket", "/run/swapper/speech@voice/http.sock", "--name", "voice"),
        *("--slots", "2", "--language", "de"),
    )
    assert launch.needs == ("espeak-ng", "ffmpeg")
    assert ENGINES["speech"].roots(SPEECH) == ()
    assert ENGINES["speech"].missing(SPEECH) == ()
    config = Config(engines={"speech": EngineSettings(Path("/opt/e/bin/espeak-ng"))})
    assert argv(SPEECH, config)[5:7] == ("--espeak", "/opt/e/bin/espeak-ng")
    assert ENGINES["speech"].launch(SPEECH, config).needs[0] == "/opt/e/bin/espeak-ng"


def test_without_a_gpu_there_is_no_share_of_one() -> None:
    assert argv(replace(VLLM, gpus=(), gpu_memory=Share(1))) == argv(VLLM)


def test_the_program_is_the_configured_one() -> None:
    config = Config(engines={"vllm": EngineSettings(Path("/opt/v/bin/vllm"))})
    assert argv(VLLM, config)[0] == "/opt/v/bin/vllm"
    assert argv(LLAMA, config)[0] == "llama-server"
