"""What `swapperctl add` makes of files."""

from dataclasses import replace
from pathlib import Path

import pytest

from swapper.config import load
from swapper.ctl import Failure
from swapper.ctl.add import BESIDE, Entry, fitting, named, projector
from swapper.weights import Cache, Weights
from tests.lab.gguf import Tensor, Value, write

GIB = 1 << 30
WEIGHTS = Weights("llama", "llama", 4 * GIB, 131072, Cache(128 << 10), width=4096)


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("devstral-small-Q4_K_M.gguf", "devstral-small"),
        ("ggml-org_Qwen3-Coder-30B-A3B-Instruct-UD-Q4_K_XL.gguf", "ggml-org_qwen3-coder-30b-a3b-instruct"),
        ("GLM-4.7-Flash-IQ4_XS-00001-of-00002.gguf", "glm-4.7-flash"),
        ("gpt-oss-20b-mxfp4.gguf", "gpt-oss-20b"),
        ("model.BF16.gguf", "model"),
        ("Two Words (1).gguf", "two-words-1"),
        ("Q4_K_M.gguf", "q4_k_m"),
        ("….gguf", "model"),
    ],
)
def test_names(file: str, name: str) -> None:
    assert named(Path("/models") / file) == name


@pytest.mark.parametrize(
    ("weights", "total", "context"),
    [
        (WEIGHTS, None, 32768),
        (replace(WEIGHTS, context=8192), None, 8192),
        (replace(WEIGHTS, context=None), None, None),
        (WEIGHTS, 24 * GIB, 32768),
        (WEIGHTS, 8 * GIB, 16384),
        (WEIGHTS, 4 * GIB, 2048),
    ],
)
def test_the_context_is_what_is_usual_and_fits(weights: Weights, total: int | None, context: int | None) -> None:
    assert fitting(weights, 0, total) == context
    if total is not None and context is not None and context > 2048:
        assert weights.size + weights.cache.of(context) + BESIDE <= total


def test_an_entry_is_configuration_whatever_the_names(tmp_path: Path) -> None:
    entry = Entry(
        'a "quoted": näme', Path("/models/a b: #1.gguf"), WEIGHTS, 8192, Path("/models/mmproj.gguf"),
        ("chat", "vision"), ("x y", "yes"), (0, 1), 6 * GIB, declared=True,
    )  # fmt: skip
    file = tmp_path / "a.yaml"
    file.write_text(f"gpus: {{0: {{memory: 24GiB}}, 1: {{memory: 24GiB}}}}\n{entry.yaml()}")
    (model,) = load(file).models
    assert (model.name, str(model.model), model.aliases) == (entry.name, "/models/a b: #1.gguf", ("x y", "yes"))
    assert (model.context, model.gpus, model.capabilities) == (8192, (0, 1), frozenset({"chat", "vision"}))


def projectors(folder: Path, **widths: int) -> None:
    for name, width in widths.items():
        metadata: dict[str, Value] = {"general.architecture": "clip", "clip.vision.projection_dim": width}
        write(folder / f"mmproj-{name}.gguf", metadata, [Tensor("v", (4, 4))])


def test_the_projector_beside_a_model_goes_with_it(tmp_path: Path) -> None:
    (tmp_path / "eye-7b.gguf").touch()
    projectors(tmp_path, eye=4096, other=2048)
    assert projector(tmp_path / "eye-7b.gguf", WEIGHTS) == tmp_path / "mmproj-eye.gguf"
    assert projector(tmp_path / "eye-7b.gguf", replace(WEIGHTS, width=1024)) is None


def test_among_several_models_a_projector_is_its_namesakes(tmp_path: Path) -> None:
    (tmp_path / "eye.gguf").touch()
    (tmp_path / "mind.gguf").touch()
    projectors(tmp_path, eye=4096)
    assert projector(tmp_path / "eye.gguf", WEIGHTS) == tmp_path / "mmproj-eye.gguf"
    assert projector(tmp_path / "mind.gguf", WEIGHTS) is None


def test_a_broken_projector_is_told(tmp_path: Path) -> None:
    (tmp_path / "mmproj-a.gguf").write_bytes(b"nothing")
    with pytest.raises(Failure, match="is no GGUF file"):
        projector(tmp_path / "a.gguf", WEIGHTS)
