"""The configuration as units: a systemd.generator(7), run at boot and at every daemon-reload.

For each model it writes `<engine>@<instance>.service.d/50-swapper.conf`: everything in which this model differs from
the template unit; for each profile, what its targets want and end (`profiles.py`). The templates stay readable,
`systemctl cat` shows the whole truth, and models start with no router.

A bad configuration changes nothing: the units of the last good one are written again, and its files are kept for a
router that starts meanwhile.
"""

import contextlib
import json
import os
import sys
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from swapper import profiles
from swapper.config import LAST_GOOD, MODELS_DIR, Config, ConfigErrors, Model, default_paths, load
from swapper.engines import ENGINES
from swapper.engines.programs import USUAL_PATH
from swapper.quoting import quoted, sentence, word, words

DROPIN = "50-swapper.conf"
PULLS = "swapper-pull@.service"
UNITS = Path("/run/swapper-generator/units.json")
ROUTER = Path("/usr/lib/systemd/system/swapper.service")
LAUNCHER = ("/usr/bin/python3", "-IS", "/usr/share/swapper/swapper/launch.py")

KEEPER = ("/usr/bin/python3", "-IS", "/usr/share/swapper/swapper/conversations.py")
CONVERSATIONS = "swapper/conversations"
"""Below /var/cache. The folder itself is root's alone (debian/swapper.tmpfiles): all engines run as one user, so only
what is mounted elsewhere for a unit is for that unit."""

SAVE_SECONDS, RESTORE_SECONDS = 8.0, 20.0
"""Longest time that conversations may take: less than `TimeoutStopSec=` in llama@.service; no more than half of what
the start may take, which systemd counts anew for ExecStartPost=."""

HOMES = tuple(map(Path, ("/home", "/root", "/run/user")))
"""What `ProtectHome=tmpfs` in the template units hides."""

HEAD = """\
# Written by swapper-generator from {file} at every daemon-reload; changes made here are lost.
# Change that file and run 'systemctl reload swapper', or override lines with 'systemctl edit {unit}'.
"""


def dropin(model: Model, config: Config) -> str:
    """The text of a model's drop-in. It changes exactly when the unit does: no dates, no line numbers."""
    unit = [f"Description={sentence(model.name)} ({model.engine})"]
    if roots := ENGINES[model.engine].roots(model):
        unit += [f"RequiresMountsFor={words(*map(str, sorted(set(roots))))}"]
    service = [*_resources(model), *_visible(model, config), *_environment(model, config), *_command(model, config)]
    service += _conversations(model)
    head = HEAD.format(file=model.where.file, unit=words(model.unit))
    return "\n".join((head, "[Unit]", *unit, "", "[Service]", *service, ""))


def _resources(model: Model) -> Iterator[str]:
    """GPUs, memory, time, network."""
    yield from pinned(model.gpus)
    if model.memory_max is not None:
        yield f"MemoryMax={model.memory_max}"
    yield f"TimeoutStartSec={model.load_timeout:g}"
    if model.network:
        yield "PrivateNetwork=no"
        yield "RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK"
        yield "Environment=HF_HUB_OFFLINE=0 TRANSFORMERS_OFFLINE=0"


def pinned(gpus: Collection[int]) -> Iterator[str]:
    """The lines that fix a unit to GPUs. Lists are emptied first: the templates name GPU 0."""
    yield f"Environment=CUDA_VISIBLE_DEVICES={','.join(map(str, gpus))}"
    yield "DeviceAllow="
    nodes = [f"/dev/nvidia{index}" for index in gpus]
    shared = ["/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools"] if nodes else []
    yield from (f"DeviceAllow={node} rw" for node in (*nodes, *shared))


def _environment(model: Model, config: Config) -> Iterator[str]:
    """One variable a line; the model's own come last, and win."""
    settings = config.engines.get(model.engine)
    if settings is not None and settings.search:
        yield f"Environment={word('PATH=' + ':'.join((*map(str, settings.search), USUAL_PATH)))}"
    for name, value in ENGINES[model.engine].launch(model, config).environment:
        yield f"Environment={word(f'{name}={value}')}"


def _command(model: Model, config: Config) -> Iterator[str]:
    """The launcher, which becomes the engine."""
    launch = ENGINES[model.engine].launch(model, config)
    launcher = [*LAUNCHER, "--socket", str(model.socket), "--health", launch.health]
    if launch.ready is not None:
        launcher += ["--ready", launch.ready]
    if launch.imports:
        launcher += ["--gate", str(model.gate), "--imports", ",".join(launch.imports)]
        launcher += ["--seconds", f"{model.load_timeout:g}"]
    for path in ENGINES[model.engine].roots(model):
        launcher += ["--weights", str(path)]
    for needed in launch.needs:
        launcher += ["--needs", needed]
    yield "ExecStart="
    yield f"ExecStart=:{words(*launcher, '--name', model.name, '--')} \\\n    {words(*launch.argv)}"


def _conversations(model: Model) -> Iterator[str]:
    """A folder of its own, and the one who fills it. What goes wrong with that ("-") never stops a start or a stop."""
    if not model.keep_conversations:
        return
    folder, shown = f"{CONVERSATIONS}/{model.engine}@{model.instance}", str(model.conversations)
    yield f"CacheDirectory={folder}"
    yield f"BindPaths=/var/cache/{folder}:{shown}"
    for order, verb, seconds in (
        ("ExecStartPost", "restore", min(RESTORE_SECONDS, model.load_timeout / 2)),
        ("ExecStop", "save", SAVE_SECONDS),
    ):
        keeper = [*KEEPER, verb, "--socket", str(model.socket), "--folder", shown, "--seconds", f"{seconds:g}"]
        yield f"{order}=-:{words(*keeper)}"


def _visible(model: Model, config: Config) -> Iterator[str]:
    """What the engine needs from below home directories: that, and nothing else there.

    A home directory is often closed to others, and a bind mount is made by systemd as root: so a file in somebody's
    `~/.cache/llama.cpp` can be served with no change to permissions, as long as the file itself is readable for all.
    """
    settings = config.engines.get(model.engine)
    programs = (settings.path, *settings.search) if settings is not None else ()
    needed = [_whole(path) for path in ENGINES[model.engine].roots(model)]
    needed += [_prefix(path) for path in programs if path is not None]
    for path in dict.fromkeys(path for path in needed if any(path.is_relative_to(home) for home in HOMES)):
        yield f"BindReadOnlyPaths={quoted(f'-{path}')}"


def _whole(path: Path) -> Path:
    """The path; in a cache of the Hugging Face hub the directory of the model, where files link to each other."""
    return next((parent for parent in path.parents if parent.name.startswith("models--")), path)


def _prefix(path: Path) -> Path:
    """Where a program's libraries are too: the directory above `bin`."""
    folder = path if path.name == "bin" else path.parent
    return folder.parent if folder.name == "bin" else folder


def generate(config: Config) -> dict[str, str]:
    """All drop-ins: path below the generator's directory → text."""
    models = {f"{model.unit}.d/{DROPIN}": dropin(model, config) for model in config.models}
    pulls = {} if config.models_dir == MODELS_DIR else {f"{PULLS}.d/{DROPIN}": _pulls(config.models_dir)}
    return models | dict(profiles.units(config)) | pulls


def _pulls(models_dir: Path) -> str:
    """Where pulls put models, if that is not the usual place."""
    hidden = any(models_dir.is_relative_to(home) for home in HOMES)
    shown = f"{'BindPaths' if hidden else 'ReadWritePaths'}={quoted(f'-{models_dir}')}"
    service = [f"Environment={word(f'SWAPPER_MODELS={models_dir}')}", shown]
    head = HEAD.format(file="/etc/swapper", unit=PULLS)
    return "\n".join((head, "[Unit]", f"RequiresMountsFor={word(str(models_dir))}", "", "[Service]", *service, ""))


def install(folder: Path, units: Mapping[str, str], *, preload: bool) -> None:
    """Write drop-ins; where a model is to be there from the start, have the router started at boot to see to it."""
    for path, text in units.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    if preload:
        wants = folder / "multi-user.target.wants"
        wants.mkdir(exist_ok=True)
        (wants / ROUTER.name).symlink_to(ROUTER)


def remember(units: Mapping[str, str], sources: tuple[Path, ...], *, preload: bool) -> None:
    """Keep what was good: the units for the next bad reload, copies of the files for the router."""
    LAST_GOOD.mkdir(parents=True, exist_ok=True)
    _replace(UNITS, json.dumps({"preload": preload, "units": units}).encode(), like=None)
    kept = {LAST_GOOD / f"{number:03}-{path.name}": path for number, path in enumerate(sources)}
    for stale in set(LAST_GOOD.iterdir()) - kept.keys():
        stale.unlink()
    for copy, path in kept.items():
        _replace(copy, path.read_bytes(), like=path)


def _replace(file: Path, content: bytes, *, like: Path | None) -> None:
    """Write a file so that readers see the old one or the new one. They are those of `like`, else root alone."""
    fresh = file.with_name(f".{file.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=0o600)
    fresh.write_bytes(content)
    if like is not None:
        status = like.stat()
        os.chown(fresh, status.st_uid, status.st_gid)
        fresh.chmod(status.st_mode & 0o777)
    fresh.replace(file)


def restore(folder: Path) -> bool:
    """Write the units of the last good configuration; whether there was one."""
    try:
        good = json.loads(UNITS.read_bytes())
    except FileNotFoundError:
        return False
    install(folder, good["units"], preload=good["preload"])
    return True


def complain(message: str) -> None:
    """Log an error: to the journal or, before that runs, to the kernel. What generators print is lost."""
    import socket  # noqa: PLC0415 — for mistakes only; costs every start otherwise

    print(message, file=sys.stderr)
    fields = (
        f"PRIORITY=3\nSYSLOG_IDENTIFIER=swapper-generator\nMESSAGE={message}\n"  # systemd.io/JOURNAL_NATIVE_PROTOCOL
    )
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
            journal.sendto(fields.encode(), "/run/systemd/journal/socket")
    except OSError:
        with contextlib.suppress(OSError):
            Path("/dev/kmsg").write_text(f"<3>swapper-generator: {message}\n")


def main(argv: list[str]) -> int:
    """Run as systemd runs generators: the first directory is the one for ordinary units."""
    folder, sources = Path(argv[1]), default_paths()
    try:
        config = load(*sources)
    except ConfigErrors as errors:
        for error in errors.errors:
            complain(str(error))
        kept = "models keep their old configuration" if restore(folder) else "there are no models until it is good"
        complain(f"the configuration has mistakes: {kept}")
        return 1
    units, preload = generate(config), any(model.preload for model in config.models)
    install(folder, units, preload=preload)
    remember(units, sources, preload=preload)
    return 0
