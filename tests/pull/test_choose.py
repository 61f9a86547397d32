"""Which files of a repository are meant; names are those of real ones."""

import pytest

from swapper.pull import PullError
from swapper.pull.choose import File, choose, label


def files(*names: str) -> list[File]:
    return [File(name, len(name), f"sha256:{name}") for name in names]


ONE = files(".gitattributes", "README.md", "gemma-3-1b-it-Q8_0.gguf")
MANY = files("README.md", "Qwen3-4B-Q4_K_M.gguf", "Qwen3-4B-Q4_K_S.gguf", "Qwen3-4B-UD-Q4_K_XL.gguf",
             "Qwen3-4B-BF16.gguf", "Qwen3-4B-UD-Q4_K_M.gguf", "imatrix_unsloth.gguf", "params")  # fmt: skip
SPLIT = files("Q8_0/Big-Q8_0-00001-of-00002.gguf", "Q8_0/Big-Q8_0-00002-of-00002.gguf",
              "Q4_K_M/Big-Q4_K_M-00001-of-00003.gguf", "Q4_K_M/Big-Q4_K_M-00002-of-00003.gguf",
              "Q4_K_M/Big-Q4_K_M-00003-of-00003.gguf")  # fmt: skip
SEES = files("Qwen2.5-VL-3B-Instruct-Q4_K_M.gguf", "Qwen2.5-VL-3B-Instruct-f16.gguf",
             "mmproj-Qwen2.5-VL-3B-Instruct-Q8_0.gguf", "mmproj-Qwen2.5-VL-3B-Instruct-f16.gguf")  # fmt: skip
FOLDER = files(".gitattributes", "README.md", "config.json", "model-00001-of-00002.safetensors",
               "model-00002-of-00002.safetensors", "model.safetensors.index.json", "pytorch_model.bin",
               "tokenizer.json", "original/consolidated.00.pth", "onnx/model.onnx", "tf_model.h5",
               "1_Pooling/config.json")  # fmt: skip


def chosen(found: list[File], what: str = "") -> set[str]:
    return {file.name for file in choose(found, what).files.values()}


@pytest.mark.parametrize(
    ("found", "what", "meant"),
    [
        (ONE, "", {"gemma-3-1b-it-Q8_0.gguf"}),
        (MANY, "", {"Qwen3-4B-Q4_K_M.gguf"}),
        (MANY, "q4_k_s", {"Qwen3-4B-Q4_K_S.gguf"}),
        (MANY, "Q4_K_XL", {"Qwen3-4B-UD-Q4_K_XL.gguf"}),
        (MANY, "UD-Q4_K_M", {"Qwen3-4B-UD-Q4_K_M.gguf"}),
        (MANY, "Qwen3-4B-BF16.gguf", {"Qwen3-4B-BF16.gguf"}),
        (MANY, "imatrix_unsloth.gguf", {"imatrix_unsloth.gguf"}),
        (SPLIT, "", {file.name for file in SPLIT if "Q4" in file.name}),
        (SPLIT, "Q8_0", {file.name for file in SPLIT if "Q8" in file.name}),
        (SPLIT, "Big-Q8_0-00002-of-00002.gguf", {file.name for file in SPLIT if "Q8" in file.name}),
        (SEES, "", {"Qwen2.5-VL-3B-Instruct-Q4_K_M.gguf", "mmproj-Qwen2.5-VL-3B-Instruct-f16.gguf"}),
        (SEES, "F16", {"Qwen2.5-VL-3B-Instruct-f16.gguf", "mmproj-Qwen2.5-VL-3B-Instruct-f16.gguf"}),
        (SEES, "mmproj-Qwen2.5-VL-3B-Instruct-Q8_0.gguf", {"mmproj-Qwen2.5-VL-3B-Instruct-Q8_0.gguf"}),
        (FOLDER, "", {"README.md", "config.json", "model-00001-of-00002.safetensors",
                      "model-00002-of-00002.safetensors", "model.safetensors.index.json", "tokenizer.json",
                      "1_Pooling/config.json"}),
        (FOLDER, "tokenizer.json", {"tokenizer.json"}),
    ],
)  # fmt: skip
def test_what_is_meant(found: list[File], what: str, meant: set[str]) -> None:
    assert chosen(found, what) == meant


def test_what_add_is_told_and_where_files_go() -> None:
    split = choose(SPLIT, "")
    assert split.model == "Big-Q4_K_M-00001-of-00003.gguf"
    assert set(split.files) == {f"Big-Q4_K_M-0000{n}-of-00003.gguf" for n in (1, 2, 3)}
    assert (choose(FOLDER, "").model, "1_Pooling/config.json" in choose(FOLDER, "").files) == ("", True)
    assert choose(ONE, "").size == len("gemma-3-1b-it-Q8_0.gguf")


@pytest.mark.parametrize(
    ("found", "what", "code"),
    [
        (files("a-Q5_K_M.gguf", "b-Q6_K.gguf"), "", "ambiguous"),
        (files("a-Q4_K_M.gguf", "b-Q4_K_M.gguf"), "", "ambiguous"),
        (files("a-Q4_K_M.gguf", "b-Q4_K_M.gguf"), "Q4_K_M", "ambiguous"),
        (files("x/a.gguf", "y/a.gguf"), "a.gguf", "ambiguous"),
        (MANY, "Q5_K_M", "no_such_file"),
        (FOLDER, "Q4_K_M", "no_such_file"),
        (SPLIT[:1], "", "nothing_to_pull"),
        (files("README.md", "data.parquet"), "", "nothing_to_pull"),
        ([], "", "nothing_to_pull"),
    ],
)
def test_what_cannot_be_meant(found: list[File], what: str, code: str) -> None:
    with pytest.raises(PullError) as told:
        choose(found, what)
    assert told.value.code == code


def test_who_has_to_choose_is_told_what_there_is() -> None:
    with pytest.raises(PullError) as told:
        choose(MANY, "Q5_K_M")
    assert [line.split()[0] for line in told.value.details] == ["BF16", "Q4_K_M", "Q4_K_S", "UD-Q4_K_M", "UD-Q4_K_XL"]


@pytest.mark.parametrize(
    ("name", "quantisation"),
    [
        ("gpt-oss-20b-mxfp4.gguf", "MXFP4"), ("a/b-IQ4_XS.gguf", "IQ4_XS"), ("tinyllama.Q4_0.gguf", "Q4_0"),
        ("x.gguf", ""), ("Big-UD-IQ2_XXS-00001-of-00003.gguf", "UD-IQ2_XXS"), ("llama-F16.gguf", "F16"),
        ("Qwen3-4B.gguf", ""), ("bitnet-TQ2_0.gguf", "TQ2_0"),
    ],
)  # fmt: skip
def test_the_quantisation_stands_in_the_name(name: str, quantisation: str) -> None:
    assert label(name) == quantisation
