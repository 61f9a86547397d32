"""A configuration of llama-swap as one of ours, and, line by line, what of it could not be carried over.

There a model is a command line; here it is what the command line says: the engine, the weights, the context, GPUs.
(llama-swap's `config.example.yaml` says what its file may have.)
"""

import json
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from swapper.config.errors import ConfigError
from swapper.config.nodes import Entry, Reader, Value
from swapper.config.vocabulary import ENGINES, VARIABLES

type Lookup = Callable[[str], str | None]
"""A variable of the environment; None where it is not set."""

_MACRO = re.compile(r"\$\{([a-zA-Z0-9_.-]+)\}")
_DEPTH = 16
"""Macros within macros: more is a circle."""

_FLAGS = {"-m": "model", "--model": "model", "-c": "context", "--ctx-size": "context", "-mm": "mmproj",
          "--mmproj": "mmproj", "-np": "concurrency", "--parallel": "concurrency"}  # fmt: skip
_VLLM = {"--model": "model", "--max-model-len": "context", "--gpu-memory-utilization": "share",
         "--tensor-parallel-size": "", "-tp": ""}  # fmt: skip
_DROPPED = frozenset({"--host", "--port", "--alias", "-a", "--served-model-name", "--uds", "--reuse-port"})
"""What the router sees to itself."""

_DOWNLOADS = frozenset({"-hf", "-hfr", "--hf-repo", "-mu", "--model-url", "-hff", "--hf-file"})

_SAYS_NOTHING = frozenset({"name", "description", "metadata", "unlisted", "timeouts"})
_OF_MODELS: Mapping[str, str] = {
    "proxy": "the router reaches each engine by a unix socket of its own",
    "checkEndpoint": "a model is ready when its engine says so",
    "cmdStop": "systemd stops the unit, and all that it has started",
    "useModelName": "engines are told a model's name and aliases, so that requests reach them unchanged",
    **dict.fromkeys(_SAYS_NOTHING, "there is nothing like it here"),
}
"""Keys of a model that are left out, and why."""

_OF_ALL: Mapping[str, str] = {
    "apiKeys": "keys are a credential, not configuration: see 'Who may ask' in the README",
    "groups": "models of one GPU take turns; with 'gpus: {0: {memory: 24GiB, policy: pack}}' and a 'gpu_memory' for "
              "each, as many as fit are there together. 'groups: {NAME: {never_together: […]}}' is for those that must "
              "not",
    "matrix": "the same as for groups",
    "peers": "other hosts are not forwarded to",
    "logLevel": "journalctl shows all", "logToStdout": "journalctl shows all", "logTimeFormat": "journalctl shows all",
    "startPort": "engines have no ports", "includeAliasesInList": "aliases are in each model's entry",
    "metricsMaxInMemory": "/metrics has counters, and the journal each request",
    "captureBuffer": "requests are not kept", "logRequests": "the journal has each request",
}  # fmt: skip


@dataclass(slots=True)
class Converted:
    """What came of it.

    Attributes:
        lines: The configuration.
        notes: What could not be carried over, in the order of the file.
    """

    lines: list[str] = field(default_factory=list)
    notes: list[ConfigError] = field(default_factory=list)


def convert(path: Path, environment: Lookup) -> Converted:
    """Read a file and say what it means here.

    Args:
        path: llama-swap's configuration.
        environment: For `${env.NAME}`.
    """
    reader = Reader()
    document = reader.document(path)
    top = {} if document is None else {entry.name: entry for entry in reader.entries(document, "the configuration")}
    conversion = _Conversion(reader, top, environment)
    models = [line for entry in conversion.below("models") for line in conversion.model(entry)]
    conversion.rest()
    lines = [*conversion.engines(), *(["models:", *(f"  {line}" for line in models)] if models else [])]
    return Converted(lines, sorted(reader.errors, key=lambda note: note.line))


@dataclass(slots=True)
class _Model:
    """What is known of one model so far.

    Attributes:
        keys: As they are written, by name.
        args: Further arguments.
    """

    keys: dict[str, str] = field(default_factory=dict)
    args: list[str] = field(default_factory=list)


class _Conversion:
    def __init__(self, reader: Reader, top: Mapping[str, Entry], environment: Lookup) -> None:
        self._reader = reader
        self._top = top
        self._environment = environment
        self._macros = self._texts(self.below("macros"))
        self._programs: dict[str, set[str]] = {}
        self._ttl = self._number(top.get("globalTTL"))
        self._start = self._number(top.get("healthCheckTimeout"))
        self._loading = self._truth(top.get("sendLoadingState"))
        self._preload = self._preloaded()

    def below(self, key: str, within: Mapping[str, Entry] | None = None) -> list[Entry]:
        """The entries at a key."""
        entry = (self._top if within is None else within).get(key)
        return [] if entry is None else self._reader.entries(entry.value, repr(key))

    def rest(self) -> None:
        """Note what of the whole was left out."""
        known = {"models", "macros", "globalTTL", "healthCheckTimeout", "sendLoadingState", "hooks"}
        for name, entry in self._top.items():
            if name not in known:
                why = _OF_ALL.get(name, "there is nothing like it here")
                self._note(entry.key, f"{name!r} is not carried over", why)

    def engines(self) -> Iterator[str]:
        """Where programs are, if that is not where they are looked for."""
        found = {engine: paths for engine, paths in self._programs.items() if len(paths) == 1}
        if found:
            yield "engines:"
            yield from (f"  {engine}: {{path: {_quoted(*paths)}}}" for engine, paths in sorted(found.items()))

    # ---- one model ---------------------------------------------------------------------------------------------------

    def model(self, entry: Entry) -> Iterator[str]:
        """The lines of one model; none where it is not clear what it is."""
        inside = {one.name: one for one in self._reader.entries(entry.value, f"model {entry.name!r}")}
        macros = self._macros | self._texts(self.below("macros", inside)) | {"MODEL_ID": entry.name, "PORT": "0"}
        model = _Model()
        if not self._command(entry, inside.get("cmd"), macros, model):
            return
        self._environ(inside.get("env"), macros, model)
        self._names(inside.get("aliases"), model)
        self._limits(entry.name, inside, model)
        self._filters(inside.get("filters"), model)
        for name, why in _OF_MODELS.items():
            if name in inside:
                self._note(inside[name].key, f"{name!r} of {entry.name} is not carried over", why)
        if model.args:
            model.keys["args"] = f"[{', '.join(map(_quoted, model.args))}]"
        yield f"{_quoted(entry.name)}:"
        yield from (f"  {key}: {text}" for key, text in model.keys.items())

    def _command(self, entry: Entry, cmd: Entry | None, macros: Mapping[str, str], model: _Model) -> bool:
        """The engine, and what its arguments mean."""
        if cmd is None:
            self._note(entry.key, f"{entry.name} has no 'cmd', and is left out")
            return False
        text = self._expanded(str(cmd.value.node.value), macros, cmd.value)
        try:
            words = [word for line in text.splitlines() if not line.lstrip().startswith("#") for word in _split(line)]
        except ValueError as error:
            self._note(cmd.value, f"the command of {entry.name} cannot be read ({error}), and it is left out")
            return False
        engine, program, rest = _program(words)
        if not engine:
            what = PurePath(words[0]).name if words else "nothing"
            hint = "a model here is a GGUF file on llama-server, or a folder on vLLM"
            self._note(cmd.value, f"{entry.name} is started by {what}, and is left out", hint)
            return False
        if "/" in program:
            self._programs.setdefault(engine, set()).add(program)
        model.keys["engine"] = engine
        self._arguments(cmd.value, engine, rest, model)
        if "model" not in model.keys:
            hint = "download the file, and name it: 'model: /path/to/FILE.gguf'"
            self._note(cmd.value, f"the command of {entry.name} names no file of weights, and it is left out", hint)
            return False
        return True

    def _arguments(self, where: Value, engine: str, words: Sequence[str], model: _Model) -> None:
        meaning = _FLAGS if engine == "llama" else _VLLM
        for flag, value in _flags(words):
            if not flag:
                model.keys.setdefault("model", _quoted(value)) if engine == "vllm" else model.args.append(value)
            elif flag in _DROPPED:
                continue
            elif flag in _DOWNLOADS:
                self._note(where, f"{flag} {value}: engines download nothing here", "download it, and name the file")
            elif flag == "--gpu-memory-utilization":
                model.keys["gpu_memory"] = f"{float(value):.0%}" if _is_number(value) else "90%"
            elif (key := meaning.get(flag)) is not None:
                self._key(where, key, value, model)
            elif hint := ENGINES[engine].arguments.get(flag):
                self._note(where, f"{flag} is not carried over", hint)
            else:
                model.args += [flag, value] if value else [flag]

    def _key(self, where: Value, key: str, value: str | None, model: _Model) -> None:
        if not key:
            return
        if key in {"model", "mmproj"}:
            model.keys[key] = _quoted(value or "")
            if value and not value.startswith("/"):
                self._note(where, f"{value} is a relative path", "here that is below models_dir: write it in full")
        elif value and value.isdecimal() and int(value):
            model.keys[key] = value

    def _environ(self, env: Entry | None, macros: Mapping[str, str], model: _Model) -> None:
        if env is None:
            return
        kept = {}
        for item in self._reader.items(env.value, "'env'"):
            name, _, value = self._expanded(str(item.node.value), macros, item).partition("=")
            if name == "CUDA_VISIBLE_DEVICES":
                indexes = [word.strip() for word in value.split(",") if word.strip()]
                if all(word.isdecimal() for word in indexes):
                    model.keys["gpu"] = f"[{', '.join(indexes)}]"
                else:
                    self._note(item, f"{name}={value} is not carried over", "use 'gpu:' with indexes in PCI bus order")
            elif why := VARIABLES.get(name):
                self._note(item, f"{name} is not carried over", why)
            else:
                kept[name] = value
        if kept:
            model.keys["env"] = f"{{{', '.join(f'{name}: {_quoted(value)}' for name, value in kept.items())}}}"

    def _names(self, aliases: Entry | None, model: _Model) -> None:
        if aliases is None:
            return
        names = []
        for item in self._reader.items(aliases.value, "'aliases'"):
            if isinstance(item.node.value, list):
                inside = {one.name: one for one in self._reader.entries(item, "an alias")}
                names += [str(inside["id"].value.node.value)] if "id" in inside else []
            else:
                names.append(str(item.node.value))
        model.keys["aliases"] = f"[{', '.join(map(_quoted, names))}]"

    def _limits(self, name: str, inside: Mapping[str, Entry], model: _Model) -> None:
        ttl = self._number(inside.get("ttl"))
        ttl = self._ttl if ttl is None or ttl < 0 else ttl
        if ttl:
            model.keys["ttl"] = f"{ttl}s"
        if self._start:
            model.keys["load_timeout"] = f"{max(15, self._start)}s"
        if limit := self._number(inside.get("concurrencyLimit")):
            model.keys |= {"concurrency": str(limit), "queue": "0"}
        loading = self._truth(inside.get("sendLoadingState"))
        if self._loading if loading is None else loading:
            model.keys["loading_message"] = "true"
        if name in self._preload:
            model.keys["preload"] = "true"

    def _filters(self, filters: Entry | None, model: _Model) -> None:
        if filters is None:
            return
        inside = {one.name: one for one in self._reader.entries(filters.value, "'filters'")}
        found = []
        if (given := inside.get("setParams")) is not None and (text := self._reader.json(given.value, "'setParams'")):
            found.append(f"set: {text}")
        stripped = inside.get("stripParams") or inside.get("strip_params")
        if stripped is not None:
            words = [word.strip() for word in str(stripped.value.node.value).split(",") if word.strip()]
            found.append(f"strip: [{', '.join(map(_quoted, words))}]")
        if (by_name := inside.get("setParamsByID")) is not None:
            hint = "filters hold for a model, by whatever name it is called"
            self._note(by_name.key, "'setParamsByID' is not carried over", hint)
        if found:
            model.keys["filters"] = f"{{{', '.join(found)}}}"

    # ---- below -------------------------------------------------------------------------------------------------------

    def _note(self, where: Value, message: str, hint: str = "") -> None:
        self._reader.wrong(where, message, hint)

    def _texts(self, entries: Sequence[Entry]) -> dict[str, str]:
        return {entry.name: str(entry.value.node.value) for entry in entries}

    def _number(self, entry: Entry | None) -> int | None:
        text = "" if entry is None else str(entry.value.node.value)
        return int(text) if re.fullmatch(r"-?\d{1,9}", text) else None

    def _truth(self, entry: Entry | None) -> bool | None:
        return None if entry is None else self._reader.truth(entry.value, entry.name)

    def _preloaded(self) -> frozenset[str]:
        inside = {one.name: one for one in self.below("hooks")}
        listed = [entry for entry in self.below("on_startup", inside) if entry.name == "preload"]
        items = [item for entry in listed for item in self._reader.items(entry.value, "'preload'")]
        return frozenset(str(item.node.value) for item in items)

    def _expanded(self, text: str, macros: Mapping[str, str], where: Value) -> str:
        """A text with its macros in place."""

        def put(match: re.Match[str]) -> str:
            name = match[1]
            found = self._environment(name[4:]) if name.startswith("env.") else macros.get(name)
            if found is None:
                self._note(where, f"${{{name}}} is not known", "set it, and convert once more")
            return match[0] if found is None else found

        for _ in range(_DEPTH):
            before, text = text, _MACRO.sub(put, text)
            if text == before or "${" not in text:
                break
        return text


def _split(line: str) -> list[str]:
    """The words of a line, without the backslash that goes on in the next."""
    return shlex.split(line.rstrip().removesuffix("\\"))


def _program(words: Sequence[str]) -> tuple[str, str, Sequence[str]]:
    """The engine, its program, and its arguments; an empty engine where it is none of ours."""
    if not words:
        return "", "", ()
    name = PurePath(words[0]).name
    if name.startswith("llama-server"):
        return "llama", words[0], words[1:]
    if name == "vllm" and words[1:2] == ["serve"]:
        return "vllm", words[0], words[2:]
    if name.startswith("python") and words[1:3] == ["-m", "vllm.entrypoints.openai.api_server"]:
        return "vllm", str(PurePath(words[0]).with_name("vllm")) if "/" in words[0] else "vllm", words[3:]
    return "", "", ()


def _flags(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Arguments with their values; a word alone has an empty flag. What has no value has an empty one."""
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not _is_flag(word):
            yield "", word
        elif word.startswith("--") and "=" in word:
            flag, _, value = word.partition("=")
            yield flag, value
        elif rest and not _is_flag(rest[0]):
            yield word, rest.pop(0)
        else:
            yield word, ""


def _is_flag(word: str) -> bool:
    return word.startswith("-") and not _is_number(word) and word != "-"


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _quoted(text: str) -> str:
    """A text as YAML has it: JSON's strings are YAML's, too."""
    return json.dumps(text, ensure_ascii=False)
