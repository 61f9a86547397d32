"""The house as DESIGN draws it: imports point down, and the operating system is met in one place."""

import ast
import os
import sys
from pathlib import Path

SOURCE = Path(os.environ.get("SWAPPER_TEST_SOURCE", Path(__file__).parents[1]))
PACKAGE = SOURCE / "swapper"

DOWN: dict[str, frozenset[str]] = {
    "core": frozenset(),
    "config": frozenset({"core"}),
    "quoting": frozenset(),
    "engines": frozenset({"core", "config"}),
    "generator": frozenset({"core", "config", "engines", "profiles", "quoting", "host"}),
    "profiles": frozenset({"config", "quoting"}),
    "progress": frozenset(),
    "launch": frozenset({"progress", "early"}),
    "early": frozenset(),
    "conversations": frozenset(),
    "nvidia": frozenset(),
    "speech": frozenset(),
    "outside": frozenset(),
    "client": frozenset(),
    "keys": frozenset({"config"}),
    "locality": frozenset(),
    "host": frozenset({"core"}),
    "simulate": frozenset({"core", "config"}),
    "telegram": frozenset({"client", "config", "host", "keys", "locality", "outside"}),
    "weights": frozenset(),
    "documents": frozenset({"config", "telegram"}),
    "pull": frozenset({"core", "host"}),
    "ctl": frozenset(
        {"config", "core", "documents", "engines", "generator", "keys", "pull", "simulate", "telegram", "weights"}
    ),
    "router": frozenset(
        {"core", "config", "engines", "generator", "host", "keys", "locality", "outside", "profiles", "pull"}
    ),
}
"""Each room, and the rooms below it that it may import."""

INSIDE_ROUTER: dict[str, frozenset[str]] = {
    "wire": frozenset({"access", "errors", "gate", "routes", "runtime"}),
    "media": frozenset({"errors", "wire"}),
    "api": frozenset({"errors", "feed", "history", "measured", "orders", "places", "routes", "runtime", "stats"}),
}
"""Rooms within the router, and what else of it they may import."""

FOR_THE_BOT = frozenset(
    {f"config.{name}" for name in ("errors", "kinds", "nodes", "sections", "table")}
    | {f"host.{name}" for name in ("activation", "credentials", "journal", "notify")}
)
"""What the bot takes of the rooms below it. It is a client of the router: no units, no models, no D-Bus."""

ONLY_IN: dict[str, frozenset[str]] = {
    "pydbus": frozenset({"host/bus.py"}),
    "gi": frozenset({"host/bus.py"}),
    "systemd": frozenset({"host/journal.py"}),
    "sdnotify": frozenset({"host/notify.py"}),
    "yaml": frozenset({"config/nodes.py"}),
    "prometheus_client": frozenset(
        {f"router/api/{name}.py" for name in ("engine_metrics", "families", "metrics")} | {"telegram/metrics.py"}
    ),
    "telegram": frozenset({"telegram/api.py"}),
    "huggingface_hub": frozenset({"pull/hub.py"}),
    "markdown_it": frozenset({"telegram/text/render.py"}),
}
"""Libraries, and the only files that may import them."""

PURE = frozenset({"bisect", "collections", "dataclasses", "enum", "heapq", "itertools", "math", "re", "typing"})
"""What the core may import of the standard library: data types. No clock, no log, no loop, no disk."""


_OPENED = frozenset({"swapper", "swapper.host"})
"""Packages that are imported from: what is taken out of them are modules."""


def files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def imports(file: Path) -> set[str]:
    """Modules that a file imports, by full name."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            module = node.module or ""
            found |= {f"{module}.{alias.name}" for alias in node.names} if module in _OPENED else {module}
    return found


def room(name: str) -> str:
    """The room of a module such as `swapper.core.model`; empty for the package itself."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 and not parts[1].startswith("__") else ""


def room_of(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def test_there_is_something_to_look_at() -> None:
    assert {room_of(file) for file in files()} >= {"core", "config", "engines", "host", "router", "generator", "launch"}


def test_imports_point_down() -> None:
    wrong = [
        f"{file.relative_to(SOURCE)} imports {name}"
        for file in files()
        for name in imports(file)
        if name.startswith("swapper.")
        and room_of(file) != "__init__"
        and room(name) not in {"", room_of(file)} | DOWN[room_of(file)]
    ]
    assert wrong == []


def test_rooms_within_the_router_keep_to_themselves() -> None:
    wrong = [
        f"{file.relative_to(SOURCE)} imports {name}"
        for inner, others in INSIDE_ROUTER.items()
        for file in sorted((PACKAGE / "router" / inner).rglob("*.py"))
        for name in imports(file)
        if name.startswith("swapper.router.") and name.split(".")[2] not in {inner, *others}
    ]
    assert wrong == []


def test_the_bot_is_a_client_of_the_router() -> None:
    wrong = [
        f"{file.relative_to(SOURCE)} imports {name}"
        for file in files()
        if room_of(file) == "telegram"
        for name in imports(file)
        if room(name) in {"config", "host"} and name.removeprefix("swapper.") not in FOR_THE_BOT
    ]
    assert wrong == []


def test_the_core_is_pure() -> None:
    wrong = [
        f"{file.relative_to(SOURCE)} imports {name}"
        for file in files()
        if room_of(file) == "core"
        for name in imports(file)
        if not name.startswith("swapper.core") and name.split(".")[0] not in PURE
    ]
    assert wrong == []


def test_libraries_are_met_in_one_place() -> None:
    wrong = [
        f"{file.relative_to(SOURCE)} imports {name}"
        for file in files()
        for name in imports(file)
        if name.split(".")[0] in ONLY_IN and str(file.relative_to(PACKAGE)) not in ONLY_IN[name.split(".")[0]]
    ]
    assert wrong == []


def test_what_runs_in_other_units_needs_nothing_but_the_standard_library() -> None:
    inside = ("launch.py", "progress.py", "early.py", "nvidia.py", "conversations.py", "speech/*.py")
    needed = {name for files in inside for file in sorted(PACKAGE.glob(files)) for name in imports(file)}
    foreign = {name for name in needed if name.split(".")[0] not in sys.stdlib_module_names}
    assert {name for name in foreign if not name.startswith("swapper.speech.")} == {"swapper.progress", "swapper.early"}


def test_no_circles_between_files() -> None:
    names = {file: ".".join(file.relative_to(SOURCE).with_suffix("").parts) for file in files()}
    modules = {name.removesuffix(".__init__"): file for file, name in names.items()}
    edges = {name: {other for other in imports(file) if other in modules} for name, file in modules.items()}
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join((*path[path.index(name) :], name))
        if name not in done:
            for other in sorted(edges[name]):
                visit(other, (*path, name))
            done.add(name)

    for name in modules:
        visit(name, ())
