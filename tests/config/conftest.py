"""Configuration files as texts."""

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from swapper.config import Config, ConfigErrors, load

type Load = Callable[..., Config]
type Mistakes = Callable[..., list[str]]


@pytest.fixture
def load_text(tmp_path: Path) -> Load:
    """Load texts as files `0.yaml`, `1.yaml` and so on."""

    def load_them(*texts: str) -> Config:
        paths = [tmp_path / f"{number}.yaml" for number, _ in enumerate(texts)]
        for path, text in zip(paths, texts, strict=True):
            path.write_text(dedent(text))
        return load(*paths)

    return load_them


@pytest.fixture
def mistakes(load_text: Load, tmp_path: Path) -> Mistakes:
    """The mistakes in texts, as `file:line: message (hint)` with the folder left out."""

    def find(*texts: str) -> list[str]:
        with pytest.raises(ConfigErrors) as caught:
            load_text(*texts)
        return str(caught.value).replace(f"{tmp_path}/", "").splitlines()

    return find
