"""Which files an engine's start reads beside the model: found in real folders, with programs that are never run."""

import os
import struct
from collections.abc import Sequence
from pathlib import Path

import pytest

from swapper.config import Config, EngineSettings, Model
from swapper.engines import ENGINES, elf, programs
from swapper.engines.programs import LARGE, MOST, USUAL_PATH, large, located
from swapper.engines.vllm import PATH

SOURCE = Path(os.environ.get("SWAPPER_TEST_SOURCE", Path(__file__).parents[2]))
LLAMA, VLLM = Model("x", "llama", Path("/m/x.gguf")), Model("y", "vllm", Path("/m/y"))


def native(path: Path, *needed: str, run_path: str | None = None, size: int = LARGE) -> Path:
    """An ELF file (elf(5)) that is linked with these libraries, and has nothing else in it."""
    strings, tags = b"\0", []
    for tag, word in [*((1, name) for name in needed), *([(29, run_path)] if run_path is not None else [])]:
        tags.append((tag, len(strings)))
        strings += word.encode() + b"\0"
    base, headers = 0x400000, 64 + 2 * 56
    tags += [(5, base + headers), (0, 0)]
    dynamic = b"".join(struct.pack("<qQ", *entry) for entry in tags)
    at, total = headers + len(strings), headers + len(strings) + len(dynamic)
    head = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 3, 62, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    load = struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, total, total, 4096)
    dynamic_header = struct.pack("<IIQQQQQQ", 2, 6, at, base + at, base + at, len(dynamic), len(dynamic), 8)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes((head + load + dynamic_header + strings + dynamic).ljust(size, b"\0"))
    path.chmod(0o755)
    return path


def configured(engine: str, path: Path | None = None, *search: Path) -> Config:
    return Config(engines={engine: EngineSettings(path=path, search=search)})


def reads(model: Model, program: Path) -> set[Path]:
    """What a start of this program reads."""
    return set(ENGINES[model.engine].programs(model, configured(model.engine, program)))


def record(site: Path, package: str, *files: tuple[str, int], junk: Sequence[str] = ()) -> list[Path]:
    """Install a package: its files, of these sizes, and the record of them. The files' paths."""
    folder = site / f"{package}-1.0.dist-info"
    folder.mkdir(parents=True, exist_ok=True)
    for name, size in files:
        file = site / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"")
        os.truncate(file, size)
    lines = [f"{name},sha256=abc,{size}" for name, size in files]
    (folder / "RECORD").write_text("\n".join([*lines, *junk, f"{folder.name}/RECORD,,"]) + "\n")
    return [site / name for name, _ in files]


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """An environment with torch in it, as `pip install vllm` makes it, and the command in it."""
    prefix = tmp_path / "vllm"
    (prefix / "bin").mkdir(parents=True)
    interpreter = native(tmp_path / "python" / "bin" / "python3.12", size=1000)
    (prefix / "bin" / "python").symlink_to(interpreter)
    script = prefix / "bin" / "vllm"
    script.write_text(f"#!{prefix}/bin/python\nimport vllm\n")
    script.chmod(0o755)
    record(site_of(script), "torch", ("torch/lib/libtorch_cuda.so", 4 * LARGE), ("torch/_C.so", 100))
    return script


def site_of(script: Path) -> Path:
    return script.parent.parent / "lib" / "python3.12" / "site-packages"


def test_what_this_interpreter_is_linked_with_is_what_the_kernel_shows() -> None:
    me = Path("/proc/self/exe").readlink()
    maps = {Path(line.split()[-1]) for line in Path("/proc/self/maps").read_text().splitlines() if "/" in line}
    found = set(elf.closure([me]))
    assert me in found
    assert {path.name for path in found} >= {"libc.so.6"}
    assert found - maps == set(), "what a program is linked with is loaded when it runs"


def test_libraries_are_found_where_the_file_says_and_where_the_system_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cuda, system = tmp_path / "cuda", tmp_path / "system"
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "cuda.conf").write_text(f"# CUDA\n{cuda}\n{tmp_path / 'nowhere'}\n")
    monkeypatch.setattr(elf, "CONFIGURED", tmp_path / "conf.d")
    monkeypatch.setattr(elf, "BUILT_IN", (system,))
    program = native(tmp_path / "bin" / "server", "libmain.so", "libgone.so", run_path="$ORIGIN/../lib:/nowhere")
    main = native(tmp_path / "lib" / "libmain.so.1.2", "libcublas.so.12", "libsystem.so")
    (tmp_path / "lib" / "libmain.so").symlink_to("libmain.so.1.2")
    native(tmp_path / "system" / "libmain.so")
    cublas = native(cuda / "libcublas.so.12", "libsystem.so", "libmain.so")
    usual = native(system / "libsystem.so")
    assert elf.closure([program]) == (program, main, cublas, usual)
    first = native(tmp_path / "first" / "libcublas.so.12")
    assert elf.closure([program], [first.parent]) == (program, main, first, usual)


@pytest.mark.parametrize(
    "content", [b"", b"#!/bin/sh\n", b"\x7fELF\x01\x01", b"\x7fELF\x02\x01", b"\x7fELF\x02\x01" + b"\xff" * 200]
)
def test_files_that_cannot_be_understood_need_nothing(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "file"
    file.write_bytes(content)
    assert elf.read(file) == elf.Linked()
    assert elf.closure([file, tmp_path / "nowhere"]) == (file, tmp_path / "nowhere")


def test_a_broken_table_of_strings(tmp_path: Path) -> None:
    whole = native(tmp_path / "whole", "libc.so.6").read_bytes()
    for length in (70, 130, 180, 200):
        (tmp_path / "cut").write_bytes(whole[:length])
        assert elf.read(tmp_path / "cut").needed in {(), ("",)}


def test_llama_reads_its_backends_too_as_builds_have_them_and_as_debian_does(tmp_path: Path) -> None:
    program = native(tmp_path / "build" / "bin" / "llama-server", "libllama.so", run_path=f"{tmp_path}/usr/lib")
    llama = native(tmp_path / "usr" / "lib" / "libllama.so")
    cuda = native(program.parent / "libggml-cuda.so", "libcublas.so", run_path="$ORIGIN/cuda")
    cublas = native(program.parent / "cuda" / "libcublas.so")
    packaged = native(llama.parent / "ggml" / "backends0" / "libggml-cpu-zen4.so")
    native(llama.parent / "libother.so")
    native(program.parent / "libggml-small.so", size=LARGE - 1)
    assert reads(LLAMA, program) == {program, llama, cuda, cublas, packaged}


def test_llama_is_looked_at_again_when_it_has_changed(tmp_path: Path) -> None:
    program = native(tmp_path / "llama-server")
    assert reads(LLAMA, program) == {program}
    later = native(tmp_path / "libggml-cuda.so")
    native(program)
    os.utime(program, (1, 1))
    assert reads(LLAMA, program) == {program, later}


def test_vllm_reads_the_large_libraries_of_its_environment(script: Path) -> None:
    site = site_of(script)
    (torch,) = site.glob("torch/lib/libtorch_cuda.so")
    cublas, handle = record(site, "cublas", ("nvidia/cu13/lib/libcublas.so.13", LARGE), ("nvidia/lib/a.so.1.2", LARGE))
    junk = ["vllm/a.so", '"x,y.so",sha256=a,9999999', "x.so,,"]
    (own,) = record(site, "vllm", ("vllm/_C.abi3.so", 2 * LARGE), junk=junk)
    record(site, "data", ("data/tokens.json", LARGE), ("data/x.so.txt", LARGE), ("data/small.so", LARGE - 1))
    found = ENGINES["vllm"].programs(VLLM, configured("vllm", script))
    assert found == (torch, own, cublas, handle), "the largest first"


@pytest.mark.parametrize("quote", ["", "'", '"'])
def test_interpreters_with_long_paths(script: Path, quote: str) -> None:
    python = f"{quote}{script.with_name('python')}{quote}"
    script.write_text(f"#!/bin/sh\n'''exec' {python} \"$0\" \"$@\"\n' '''\nimport vllm\n")
    assert {file.name for file in reads(VLLM, script)} == {"libtorch_cuda.so"}


def test_a_linked_command_and_an_interpreter_that_is_large(script: Path, tmp_path: Path) -> None:
    interpreter = native(tmp_path / "python" / "bin" / "python3.12", "libpython.so", run_path="$ORIGIN/../lib")
    library = native(tmp_path / "python" / "lib" / "libpython.so")
    (tmp_path / "local").mkdir()
    link = tmp_path / "local" / "vllm"
    link.symlink_to(script)
    assert {file.name for file in reads(VLLM, link)} == {"libtorch_cuda.so", interpreter.name, library.name}


def test_packages_that_come_later_are_seen(script: Path) -> None:
    site = site_of(script)
    assert len(reads(VLLM, script)) == 1
    record(site, "vllm", ("vllm/_C.abi3.so", LARGE))
    os.utime(site, (1, 1))
    assert len(reads(VLLM, script)) == 2


def test_where_nothing_is_known_nothing_is_read(script: Path, tmp_path: Path) -> None:
    for engine in (LLAMA, VLLM):
        assert reads(engine, tmp_path / "nowhere") == set()
    (site_of(script) / "torch").rename(tmp_path / "elsewhere")
    assert reads(VLLM, script) == set(), "an environment without torch is not vLLM's"
    script.write_text(f"#!/bin/sh\nexec {script} \"$@\"\n")
    assert reads(VLLM, script) == set(), "a wrapper may start anything"


def test_what_may_not_be_seen_is_left_to_the_engine(tmp_path: Path, script: Path) -> None:
    hidden = tmp_path / "hidden"
    native(hidden / "libcublas.so")
    program = native(tmp_path / "open" / "llama-server", "libcublas.so", run_path=str(hidden))
    closed = native(hidden / "llama-server")
    torch = site_of(script) / "torch"
    hidden.chmod(0)
    site_of(script).chmod(0)
    child = os.fork()
    if child == 0:  # as somebody who may not look: root may always
        if os.getuid() == 0:
            for parent in tmp_path.parents[:2]:
                parent.chmod(0o755)
            tmp_path.chmod(0o755)
            os.setuid(65534)
        seen: list[set[Path]] = []
        try:
            seen = [reads(LLAMA, program), reads(LLAMA, closed), reads(VLLM, script)]
        finally:
            os._exit(0 if seen == [{program}, set(), set()] else 1)
    _, status = os.waitpid(child, 0)
    hidden.chmod(0o755)
    site_of(script).chmod(0o755)
    assert status == 0
    assert torch.is_dir()
    assert reads(LLAMA, program) | reads(LLAMA, closed) > {program}


def test_a_program_is_looked_for_where_its_unit_looks(tmp_path: Path) -> None:
    one, two = (native(tmp_path / folder / "llama-server") for folder in ("one", "two"))
    path = f"{tmp_path}/nowhere:{one.parent}:{two.parent}"
    assert located(LLAMA, Config(), "llama-server", path) == one
    one.chmod(0o644)
    assert located(LLAMA, Config(), "llama-server", path) == two
    one.chmod(0o755)
    assert located(LLAMA, configured("llama", None, two.parent, one.parent), "llama-server") == two
    own = Model("x", "llama", Path("/m/x.gguf"), env=(("PATH", str(one.parent)),))
    assert located(own, configured("llama", None, two.parent), "llama-server") == one
    assert located(own, configured("llama", two), "llama-server") == two


def test_paths_are_those_of_the_template_units() -> None:
    for engine, path in (("llama", USUAL_PATH), ("vllm", PATH)):
        assert f"Environment=PATH={path}" in (SOURCE / "units" / f"{engine}@.service").read_text().splitlines()


def test_the_largest_are_named_where_there_are_too_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST > 200
    monkeypatch.setattr(programs, "MOST", 2)
    files = [native(tmp_path / str(number), size=LARGE + number) for number in range(4)]
    assert large([tmp_path / "nowhere", *files]) == (files[3], files[2])
