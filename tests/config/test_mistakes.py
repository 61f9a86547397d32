"""Every mistake is named at once: file, line, what is wrong, and what to write instead."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from swapper.config import ConfigError, ConfigErrors, load, load_last_good
from tests.config.conftest import Mistakes


def in_model(keys: str) -> str:
    return f"models:\n  x: {{engine: llama, model: x, {keys}}}"


def in_vllm(keys: str) -> str:
    return in_model(keys).replace("llama", "vllm")


def in_speech(keys: str) -> str:
    return f"models:\n  x: {{engine: speech, {keys}}}"


def test_five_mistakes_are_five_messages(mistakes: Mistakes) -> None:
    assert mistakes("""\
        modles: {}
        gpus: {0: {policy: exlusive}}
        models:
          a: {engine: lama, model: x.gguf}
          b:
            engine: llama
            images: 3
            ttl: soon
            model: x.gguf
    """) == [
        "0.yaml:1: the configuration has no 'modles' (did you mean 'models'?)",
        "0.yaml:2: GPU 0: 'policy' cannot be 'exlusive' (did you mean 'exclusive'?)",
        "0.yaml:4: model 'a': 'engine' cannot be 'lama' (did you mean 'llama'?)",
        "0.yaml:7: model 'b': 'images' is not for engine 'llama' (llama-server has no such limit)",
        "0.yaml:8: model 'b': 'ttl' wants a time, such as 90s, 10min or 1h 30min, not 'soon'",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a:\n\tb: c", "0.yaml:2: not YAML: a tab (indent with spaces)"),
        ("models:\n  a: [", "0.yaml:2: not YAML: did not find expected node content"),
        ("models: {}\n---\nmodels: {}", "0.yaml:2: not YAML: but found another document"),
        ("models: {}\n# \x01", "0.yaml:2: not YAML: control characters are not allowed"),
        ("- a", "0.yaml:1: the configuration wants 'key: value' lines, not a list"),
        ("models: 7", "0.yaml:1: 'models' wants 'key: value' lines, not '7'"),
        ("models_dir: here", "0.yaml:1: 'models_dir' wants a path that begins with '/', not 'here'"),
        ("turns: {swap_share: 0%}", "0.yaml:1: 'turns': 'swap_share' wants a share above 0% and up to 100%"),
        ("turns: {min_hold: soon}", "0.yaml:1: 'turns': 'min_hold' wants a time, such as 90s, 10min or 1h 30min"),
        ("gpus: {one: {}}", "0.yaml:1: a GPU's index wants a whole number of at least 0, not 'one'"),
        ("gpus: {0: {memory: 24}}", "0.yaml:1: GPU 0: 'memory' wants a size, such as 24GiB or 500MB, not '24'"),
        ("router: {max_body: 0B}", "0.yaml:1: 'router': 'max_body' wants a size"),
        ("router: {idle_exit: 0}", "0.yaml:1: 'router': 'idle_exit' wants a time that is longer than 0"),
        ("media: {allow: ['http://x']}", "0.yaml:1: 'media': 'allow' wants host names"),
        ("media: {allow: ['x:y']}", "0.yaml:1: 'media': 'allow' wants host names"),
        ("media: {allow: ['[x']}", "0.yaml:1: 'media': 'allow' wants host names"),
        ("engines: {vlm: {}}", "0.yaml:1: 'engines' cannot be 'vlm' (did you mean 'vllm'?)"),
        ("models:\n  x: {engine: llama}", "0.yaml:2: model 'x' lacks 'model'"),
        ("models:\n  x: {model: y}", "0.yaml:2: model 'x' lacks 'engine'"),
        ("models:\n  a,b: {engine: llama, model: x}", "0.yaml:2: a model's name cannot be 'a,b'"),
        ("models:\n  -a: {engine: llama, model: x}", "0.yaml:2: a model's name cannot be '-a'"),
        ("models:\n  a//////////////////////: {engine: llama, model: x}",
            "0.yaml:2: a model's name 'a//////////////////////' takes 67 bytes"),
        (in_model("contxt: 1"), "0.yaml:2: model 'x' has no 'contxt' (did you mean 'context'?)"),
        (in_model("context: 0"), "0.yaml:2: model 'x': 'context' wants a whole number of at least 1, not '0'"),
        (in_model("context: 8k"), "0.yaml:2: model 'x': 'context' wants a whole number"),
        (in_model("model: /a/../b").replace("model: x, ", ""), "0.yaml:2: model 'x': 'model' contains '..'"),
        (in_model("mmproj: ~/x.gguf"), "0.yaml:2: model 'x': 'mmproj' begins with '~', and services have no home"),
        (in_model("gpu: [0, 0]"), "0.yaml:2: model 'x': 'gpu' names a GPU twice"),
        (in_model("gpu_memory: 120%"), "0.yaml:2: model 'x': 'gpu_memory' wants a share between 0% and 100%"),
        (in_model("gpu_memory: 0.3"), "0.yaml:2: model 'x': 'gpu_memory' wants a share or a size"),
        (in_model("gpu_memory: 8GiB"), "0.yaml:2: model 'x': 'gpu_memory' is in bytes, and GPU 0 has no 'memory'"),
        ("gpus: {0: {memory: 1GiB}}\n" + in_model("gpu_memory: 8GiB"), "0.yaml:3: model 'x': 'gpu_memory' is more"),
        (in_model("preload: maybe"), "0.yaml:2: model 'x': 'preload' wants true or false, not 'maybe'"),
        (in_model("images: 4"), "0.yaml:2: model 'x': 'images' is not for engine 'llama'"),
        (in_model("args: [--host=0.0.0.0]"), "0.yaml:2: model 'x': 'args' cannot have '--host' (swapper gives it"),
        (in_model("args: [-c, 4]"), "0.yaml:2: model 'x': 'args' cannot have '-c' (use 'context:')"),
        (in_model("args: [--slot-save-path, /x]"), "0.yaml:2: model 'x': 'args' cannot have '--slot-save-path'"),
        (in_model("keep_conversations: true").replace("llama", "vllm"), "0.yaml:2: model 'x': 'keep_conversations' is"),
        (in_model("args: [{a: 1}]"), "0.yaml:2: model 'x': 'args' wants a text, not 'key: value' lines (put quotes"),
        (in_model("args: [~]"), "0.yaml:2: model 'x': 'args' wants a text, not nothing"),
        (in_model(r'args: ["a\nb"]'), "0.yaml:2: model 'x': 'args' contains U+000A"),
        (in_model(r'args: ["a\0b"]'), "0.yaml:2: model 'x': 'args' contains U+0000"),
        (in_model(r'env: {A: "a\nb"}'), "0.yaml:2: model 'x': 'env': 'A' contains U+000A"),
        (in_model("env: {CUDA_VISIBLE_DEVICES: 1}"), "0.yaml:2: model 'x': 'env' cannot have 'CUDA_VISIBLE_DEVICES'"),
        (in_model("env: {1A: 1}"), "0.yaml:2: model 'x': 'env' cannot have '1A'"),
        (in_model("aliases: [x]"), "0.yaml:2: model 'x': alias 'x' is taken (by itself)"),
        (in_model("aliases: [y, y]"), "0.yaml:2: model 'x': alias 'y' is taken (by itself)"),
        (in_model("capabilities: [chatt]"), "0.yaml:2: model 'x': 'capabilities' cannot be 'chatt' (did you mean"),
        (in_model("on_swap: park"), "0.yaml:2: model 'x' cannot be parked (it reads its file again"),
        (in_model("on_swap: sleep"), "0.yaml:2: model 'x': 'on_swap' cannot be 'sleep'"),
        (in_model("park_level: 1"), "0.yaml:2: model 'x': 'park_level' is not for engine 'llama'"),
        (in_vllm("park_level: 3"), "0.yaml:2: model 'x': 'park_level' is 1 or 2"),
        (in_vllm("args: [--enable-sleep-mode]"), "0.yaml:2: model 'x': 'args' cannot have '--enable-sleep-mode'"),
        (in_vllm("env: {VLLM_SERVER_DEV_MODE: 1}"), "0.yaml:2: model 'x': 'env' cannot have 'VLLM_SERVER_DEV_MODE'"),
        (in_speech("model: x"), "0.yaml:2: model 'x': 'model' is not for engine 'speech' (espeak-ng brings its voices"),
        (in_speech("gpu: 1"), "0.yaml:2: model 'x': its engine uses no GPU (leave 'gpu' out)"),
        (in_speech("gpu_memory: 1GiB"), "0.yaml:2: model 'x': 'gpu_memory' is not for engine 'speech'"),
        (in_speech("capabilities: [chat]"), "0.yaml:2: model 'x': 'capabilities' is not for engine 'speech'"),
        (in_speech("on_swap: park"), "0.yaml:2: model 'x' cannot be parked (it holds no GPU memory"),
        (in_speech("args: [--slots, 4]"), "0.yaml:2: model 'x': 'args' cannot have '--slots' (use 'concurrency:')"),
        (in_model("ttl: 1h, ttl: 2h"), "0.yaml:2: 'ttl' stands twice in model 'x' (first in line 2)"),
    ],
)  # fmt: skip
def test_one_mistake_is_one_message(mistakes: Mistakes, text: str, message: str) -> None:
    (found,) = mistakes(text)
    assert found.startswith(message)


def test_a_model_in_two_files_names_both(mistakes: Mistakes) -> None:
    assert mistakes(in_model("ttl: 1h"), "\n" + in_model("ttl: 2h")) == [
        "1.yaml:3: model 'x' is configured twice (first in 0.yaml:2)"
    ]


def test_an_alias_that_is_another_models_name(mistakes: Mistakes) -> None:
    assert mistakes("models:\n  a: {engine: llama, model: a, aliases: [b]}\n  b: {engine: llama, model: b}") == [
        "0.yaml:2: model 'a': alias 'b' is taken (by model 'b' in 0.yaml:3)"
    ]


def test_an_alias_of_two_models(mistakes: Mistakes) -> None:
    two = "models:\n  a: {engine: llama, model: a, aliases: [z]}\n  b: {engine: llama, model: b, aliases: [z]}"
    assert mistakes(two) == ["0.yaml:3: model 'b': alias 'z' is taken (by model 'a' in 0.yaml:2)"]


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes("a: 1\n# f\xfcr\n".encode("latin-1"))
    with pytest.raises(ConfigErrors) as caught:
        load(tmp_path / "latin.yaml", tmp_path / "absent.yaml", tmp_path)
    messages = [(Path(error.file).name, error.line, error.message) for error in caught.value.errors]
    assert messages == [
        (tmp_path.name, 0, "cannot be read: Is a directory"),
        ("absent.yaml", 0, "this file is not there"),
        ("latin.yaml", 2, "this is not UTF-8"),
    ]


def test_the_check_says_all_and_exits_with_78(tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text("modles: {}\nrouter: {max_bdy: 1}\n")
    command = [sys.executable, "-m", "swapper.config", "check", str(file)]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 78
    assert checked.stderr.splitlines() == [
        f"{file}:1: the configuration has no 'modles' (did you mean 'models'?)",
        f"{file}:2: 'router' has no 'max_bdy' (did you mean 'max_body'?)",
    ]
    file.write_text("models: {}\n")
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_no_last_good_configuration_is_an_error_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("swapper.config.read.LAST_GOOD", tmp_path)
    with pytest.raises(ConfigErrors, match="no configuration without mistakes since boot"):
        load_last_good()


words = st.sampled_from(
    ["a", "engine", "model", "models", "gpu", "gpus", "llama", "env", "args", "0", "~", "*a", "&a b"]
)
trees = st.recursive(
    words,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
        st.dictionaries(words, inner, max_size=3).map(
            lambda entries: "{" + ", ".join(f"{key}: {value}" for key, value in entries.items()) + "}"
        ),
    ),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.one_of(st.text(), st.binary(), trees))
def test_whatever_a_file_contains_there_is_a_configuration_or_a_list_of_mistakes(
    tmp_path: Path, content: str | bytes
) -> None:
    file = tmp_path / "any.yaml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode(errors="surrogatepass"))
    errors: tuple[ConfigError, ...] = ()
    try:
        load(file)
    except ConfigErrors as caught:
        errors = caught.errors or pytest.fail("an error without a mistake")
    assert all(error.message and error.file == str(file) for error in errors)
