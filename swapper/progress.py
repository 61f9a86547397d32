"""How much of a model's files its engine has read: what the launcher's sidecar says while a model is loaded.

Seen in /proc (proc(5)), in each process of the engine's unit, for the two ways in which engines read:

- By read(2), direct or not: a file of the model is open and its position has moved since the last look, so this file is
  what the process has read meanwhile (`rchar`). The position itself says nothing: llama.cpp goes to a file's end before
  it begins, and to and fro in it later. Positions are read before the count and after it, since the process goes on
  reading meanwhile: what the count has was read between those before the last count and those after this one.
- By mmap(2): pages that are there for the process (bit 63 in pagemap). A thousand of them are looked at, spread over
  the model; smaps would count them all, which takes a second for 100 GB.

What was read stays read. A file that nobody has open any more counts as whole if a tenth of it was seen to be read;
less was a look at its head. What is read in yet another way is not seen, and nothing is said then: no figure is better
than one that is not true.

Rule of this file: as of launch.py, which imports it when a load has taken long enough for somebody to ask.
"""

import os

KINDS = (".safetensors", ".bin", ".pt", ".gguf")
"""Endings of weights in a directory. The first that is there counts: others are the same weights once more."""

INDEX = "model.safetensors.index.json"

PROBES = 1000
"""Pages of a mapped model that are looked at: one in a thousand of its bytes."""

PAGE = os.sysconf("SC_PAGE_SIZE")

PRESENT = 0x80
"""In the last byte of an entry of /proc/PID/pagemap (Documentation/admin-guide/mm/pagemap.rst)."""

SEEN = 10
"""What part of a file must have been seen read, so that closing it means that all of it was."""


class File:
    """One file of the model, and what of it has been read."""

    __slots__ = ("_pages", "_unread", "held", "size", "taken", "whole")

    def __init__(self, size: int, step: int) -> None:
        """A file of `size` bytes, of which one page in `step` bytes is looked at: the last one each time."""
        self.size = size
        self._unread = [min(end, size) - 1 for end in range(step, size + step, step)]
        self._pages = len(self._unread)
        self.taken: dict[int, int] = {}
        self.held = self.whole = False

    @property
    def read(self) -> int:
        """Bytes of it, as far as was seen. Counted in system calls it is never all: some may have been read twice."""
        if self.whole:
            return self.size
        mapped = self.size * (self._pages - len(self._unread)) // self._pages
        return max(mapped, min(self.size - 1, max(self.taken.values(), default=0)))

    def take(self, process: int, count: int) -> int:
        """Count bytes that a process has read; returns how many of them cannot have been this file's."""
        before = self.taken.get(process, 0)
        self.taken[process] = min(self.size, before + count)
        return before + count - self.taken[process]

    def probe(self, pagemap: int, start: int, end: int, offset: int) -> None:
        """Look at what a process has of this file between two of its addresses; `offset` is the first one's place."""
        unread = []
        for place in self._unread:
            address = start + place - offset
            there = start <= address < end and os.pread(pagemap, 8, address // PAGE * 8)
            if not there or not there[-1] & PRESENT:
                unread.append(place)
        self._unread = unread

    def settle(self, held: bool) -> None:
        """Whether somebody has it open now. Once nobody has, it was read."""
        if self.held and not held and self.read * SEEN >= self.size:
            self.whole = True
        self.held = held


class Reading:
    """What an engine has read of a model so far."""

    __slots__ = ("_engine", "_files", "_group", "_positions", "_rchar", "size")

    def __init__(self, engine: int, paths: list[str]) -> None:
        """Watch the process `engine` and those in the same control group read files, and what is in directories."""
        sizes = {os.fsencode(os.path.realpath(path)): size for path in paths for path, size in weights(path)}
        self.size = sum(sizes.values())
        step = max(PAGE, self.size // PROBES)
        self._files = {path: File(size, step) for path, size in sizes.items()}
        self._engine = engine
        self._rchar: dict[int, int] = {}
        self._positions: dict[int, dict[tuple[bytes, File], int]] = {}
        try:
            group = content(b"/proc/%d/cgroup" % engine).partition(b"0::")[2].split(b"\n")[0]
        except OSError:
            group = b""
        self._group = b"/sys/fs/cgroup%s/cgroup.procs" % group

    def look(self) -> int:
        """Bytes read so far; 0 while nothing was seen."""
        if not self._files:
            return 0
        held: set[File] = set()
        for process in self._processes():
            try:
                self._read(process, held)
                self._mapped(process, held)
            except OSError:
                continue  # gone, or not to be looked at
        for file in self._files.values():
            file.settle(file in held)
        return sum(file.read for file in self._files.values())

    def _processes(self) -> list[int]:
        """Those of the group, but this one. A group that lacks the engine is one of another namespace."""
        try:
            processes = [int(process) for process in content(self._group).split() if int(process) != os.getpid()]
        except OSError:
            processes = []
        return processes if self._engine in processes else [self._engine]

    def _read(self, process: int, held: set[File]) -> None:
        """What was read by read(2)."""
        last = self._positions.get(process, {})
        before = self._positions[process] = self._open(process)
        total = int(content(b"/proc/%d/io" % process).partition(b"rchar:")[2].split()[0])
        fresh, self._rchar[process] = total - self._rchar.get(process, 0), total
        after = self._open(process)
        held.update(file for _, file in after)
        # A file that was not open was at its beginning.
        moved = {place[1] for place, position in (*before.items(), *after.items()) if position != last.get(place, 0)}
        for file in moved:
            fresh = file.take(process, fresh)

    def _open(self, process: int) -> dict[tuple[bytes, File], int]:
        """The model's files that a process has open, by its numbers for them, with its positions in them."""
        places = {}
        for number in os.listdir(b"/proc/%d/fd" % process):
            try:
                file = self._files.get(os.readlink(b"/proc/%d/fd/%s" % (process, number)))
                if file is not None:
                    position = content(b"/proc/%d/fdinfo/%s" % (process, number)).partition(b"pos:")[2].split()[0]
                    places[number, file] = int(position)
            except OSError:
                continue  # closed meanwhile
        return places

    def _mapped(self, process: int, held: set[File]) -> None:
        """What was read by mmap(2). A line of maps: addresses, rights, place in the file, device, number, path."""
        ranges = []
        with open(b"/proc/%d/maps" % process, "rb") as lines:
            for line in lines:
                fields = line.split(None, 5)
                file = self._files.get(fields[5][:-1]) if len(fields) == 6 else None
                if file is not None:
                    ranges.append((file, fields[0], int(fields[2], 16)))
        if not ranges:
            return
        pagemap = os.open(b"/proc/%d/pagemap" % process, os.O_RDONLY | os.O_CLOEXEC)
        try:
            for file, addresses, offset in ranges:
                held.add(file)
                start, _, end = addresses.partition(b"-")
                file.probe(pagemap, int(start, 16), int(end, 16), offset)
        finally:
            os.close(pagemap)


def weights(path: str) -> list[tuple[str, int]]:
    """The files of the model at a path, with their sizes: the file itself, or the weights in the directory."""
    try:
        files = _chosen(path, os.listdir(path)) if os.path.isdir(path) else [path]
        return [(file, size) for file in files if (size := os.stat(file).st_size)]
    except OSError:
        return []


def _chosen(folder: str, names: list[str]) -> list[str]:
    """The weights in a directory that vLLM loads (its default_loader.py): Mistral's own files before all others.

    Else with an index only what it names, which is called `model-…` by the convention of who writes such indexes.
    """
    kind = next((kind for kind in KINDS if any(name.endswith(kind) for name in names)), None)
    chosen = [name for name in names if kind is not None and name.endswith(kind)]
    for start in ("consolidated", "model") if INDEX in names else ("consolidated",):
        if preferred := [name for name in chosen if name.startswith(start)]:
            chosen = preferred
            break
    return [os.path.join(folder, name) for name in chosen]


def content(path: bytes) -> bytes:
    """What is in a small file."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(file, 1 << 16)
    finally:
        os.close(file)
