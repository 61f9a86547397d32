"""Keeps a llama-server's conversations over a stop, run by systemd in the engine's unit, beside the engine.

    conversations.py restore --socket /run/swapper/llama@devstral/http.sock --folder …/conversations --seconds 20
    conversations.py save --socket … --folder … --seconds 8

`restore` is ExecStartPost=, after READY=1 and before the unit counts as active, so before anybody is served. `save` is
ExecStop=, with the engine still there: for a swap as for `systemctl stop` and a reboot. The generator writes both
lines where a model says `keep_conversations`; models without it pay nothing.

A slot of llama-server remembers the last conversation that it served, and a prompt that begins like it costs only what
is new. `POST /slots/{id}?action=save` and `restore`, with `{"filename": …}` below `--slot-save-path`, carry it over
(tools/server/README.md; what refuses is 4xx or 5xx with a message). Each slot has one file, by its number:

- `0.part` while it is written. It takes the old one's place when it is whole.
- `0.trying` while it is restored. Still so called at the next start, it is what the engine did not survive.
- `made-of`: the command line, the files that it names and the environment of who made them. llama-server looks at a
  file's form, and takes that of another model of the same form for its own: with anything changed, all are removed.

Whatever goes wrong is told in the journal and costs the conversation, never the start or the stop.

Rule of this file: as of launch.py, since swaps wait for it: no json (13 ms), no http.client (50 ms).
"""

import _socket
import os
import sys
import time

BUSY_SECONDS = 2.0
"""How long a stop waits for slots that are at work: a client has just left, or is being cut off. What still goes on
then is not kept."""

PAUSE = 0.02
"""Seconds between two looks at them."""

BUSY = b'"is_processing":'
"""What each slot in the answer to /slots has once, before true or false."""

MADE_OF, PART, TRYING = "made-of", ".part", ".trying"

LOST, NOT_KEPT = "is lost, and its prompt is paid again", "is not kept"

EX_CONFIG = 78
"""The command line is not one that swapper's generator writes (sysexits.h(3))."""


class Refused(Exception):  # noqa: N818 (it names what happened)
    """The engine says no; its reason."""


class Server:
    """A llama-server, as long as there is time."""

    __slots__ = ("_deadline", "_path")

    def __init__(self, path: str, seconds: float) -> None:
        """Ask at the unix socket `path`, for so long in all."""
        self._path = path
        self._deadline = time.monotonic() + seconds

    def slots(self) -> list[bool]:
        """For each slot, whether it is at work. Raises as `_ask` does."""
        return [slot.startswith(b"true") for slot in self._ask("GET", "/slots").split(BUSY)[1:]]

    def settled(self) -> list[bool]:
        """The slots once none is at work, or after a moment of patience."""
        patience = time.monotonic() + BUSY_SECONDS
        while any(slots := self.slots()) and time.monotonic() < patience:
            time.sleep(PAUSE)
        return slots

    def save(self, slot: int, name: str) -> int:
        """Have a slot written to a file; how many tokens that is. Raises as `_ask` does."""
        return number(self._carry(slot, "save", name), b'"n_saved":')

    def restore(self, slot: int, name: str) -> int:
        """Have a slot read from a file; how many tokens that is. Raises as `_ask` does."""
        return number(self._carry(slot, "restore", name), b'"n_restored":')

    def _carry(self, slot: int, action: str, name: str) -> bytes:
        return self._ask("POST", f"/slots/{slot}?action={action}", f'{{"filename":"{name}"}}')

    def _ask(self, method: str, path: str, body: str = "") -> bytes:
        """What it answers.

        Raises:
            Refused: It is no 200.
            OSError: There is no engine, or (TimeoutError) no time.
        """
        connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
        answer = b""
        try:
            self._limit(connection)
            connection.connect(self._path)
            head = f"{method} {path} HTTP/1.1\r\nHost: engine\r\nConnection: close\r\n"
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            connection.sendall((head + body).encode())
            while part := connection.recv(1 << 16):
                answer += part
                self._limit(connection)
        finally:
            connection.close()
        content = answer.partition(b"\r\n\r\n")[2]
        if answer[9:12] != b"200":
            raise Refused(message(content) or "it broke off")
        return content

    def _limit(self, connection: _socket.socket) -> None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        connection.settimeout(left)


def number(answer: bytes, key: bytes) -> int:
    """The number behind a key; 0 where there is none."""
    digits = answer.partition(key)[2].split(b",")[0].rstrip(b"}")
    return int(digits) if digits.isdigit() else 0


def message(answer: bytes) -> str:
    """What an error says: `{"error":{"code":400,"message":"…","type":"…"}}`."""
    return answer.partition(b'"message":"')[2].partition(b'"')[0].decode(errors="replace")


def made_of(process: int) -> bytes:
    """All that another conversation file would come of: what the engine was started with, and the files named in it."""
    with open(f"/proc/{process}/cmdline", "rb") as file:
        words = file.read().split(b"\0")
    words += sorted(b"%s=%s" % pair for pair in os.environb.items() if pair[0].startswith(b"LLAMA_"))
    return b"\n".join(b"%s %s" % (word, signed(word)) for word in words)


def signed(word: bytes) -> bytes:
    """Size and time of the files that a word names: as such, behind a "=", or several with commas."""
    found = b""
    for path in dict.fromkeys((word, *word.replace(b"=", b",").split(b","))):
        if path.startswith(b"/") and os.path.isfile(path):
            status = os.stat(path)
            found += b"%d %d " % (status.st_size, status.st_mtime_ns)
    return found


def save(server: Server, folder: str) -> None:
    """Write down every slot that holds something. A file whose slot holds nothing any more goes."""
    if not os.path.isfile(f"{folder}/{MADE_OF}"):
        warn(f"no conversation is kept: {folder}/{MADE_OF} is not there, which the start should have written")
        return
    began, kept = time.monotonic(), []
    for slot, busy in enumerate(server.settled()):
        file = f"{folder}/{slot}"
        if busy:
            warn(f"the conversation in slot {slot} {NOT_KEPT}: it still goes on")
            continue
        try:
            tokens = server.save(slot, f"{slot}{PART}")
        except (Refused, TimeoutError) as problem:
            remove(file + PART)
            warn(f"the conversation in slot {slot} {NOT_KEPT}: {why(problem)}; is there room in {folder}?")
            if isinstance(problem, TimeoutError):
                return
            continue
        remove(file + TRYING)
        if tokens:
            os.replace(file + PART, file)
            kept.append((tokens, os.stat(file).st_size))
        else:
            remove(file + PART, file)
    tell("kept", kept, began)


def restore(server: Server, folder: str, process: int) -> None:
    """Give back what was written down by the same engine for the same model; remove everything else."""
    began, found, current = time.monotonic(), [], made_of(process)
    names = sorted(os.listdir(folder))
    old = [name for name in names if name.isdigit()]
    if current != content(f"{folder}/{MADE_OF}"):
        if old:
            warn(f"not taken up: {count(len(old))} from before the model or its settings changed")
        remove(*(f"{folder}/{name}" for name in names))
        write(f"{folder}/{MADE_OF}", current)
        names, old = [], []
    for name in names:
        if name.endswith(TRYING):
            warn(f"the conversation in slot {name.removesuffix(TRYING)} {LOST}: the engine did not end reading it")
        if name.endswith((TRYING, PART)):
            remove(f"{folder}/{name}")
    for name in old:
        file = f"{folder}/{name}"
        os.replace(file, file + TRYING)
        try:
            tokens = server.restore(int(name), name + TRYING)
        except Refused as refused:
            warn(f"the conversation in slot {name} {LOST}: {refused}")
            remove(file + TRYING)
            continue
        os.replace(file + TRYING, file)
        found.append((tokens, os.stat(file).st_size))
    tell("took up", found, began)


def content(path: str) -> bytes:
    """What is in a file; nothing if it cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def write(path: str, text: bytes) -> None:
    """Write a file, so that there is the old one or the new one."""
    with open(path + PART, "wb") as file:
        file.write(text)
    os.replace(path + PART, path)


def remove(*paths: str) -> None:
    """Remove files that may be there."""
    for path in paths:
        try:
            os.unlink(path)
        except FileNotFoundError:
            continue


def count(number: int) -> str:
    """How many conversations, as people say it."""
    return f"{number} conversation{'s' * (number > 1)}"


def tell(verb: str, carried: list[tuple[int, int]], began: float) -> None:
    """Say what was done, if anything was."""
    if carried:
        tokens, size = map(sum, zip(*carried, strict=True))
        took = time.monotonic() - began
        print(f"{verb} {count(len(carried))}: {tokens:,} tokens, {size / 1e6:.1f} MB, in {took:.2f} s", flush=True)


def warn(text: str) -> None:
    """Say what went wrong: to the journal at level warning."""
    print(f"<4>{text}", flush=True)


def why(problem: Exception) -> str:
    """A problem in words."""
    return "there was no more time for it" if isinstance(problem, TimeoutError) else str(problem)


def main(words: list[str]) -> int:
    """Do what the command line says; the exit status is good whatever becomes of conversations."""
    options = dict(zip(words[1::2], words[2::2], strict=False))
    if len(words) != 7 or options.keys() != {"--socket", "--folder", "--seconds"}:
        print(f"<3>wanted save or restore, --socket, --folder and --seconds, got: {' '.join(words)}", flush=True)
        return EX_CONFIG
    server, folder = Server(options["--socket"], float(options["--seconds"])), options["--folder"]
    process = int(os.environ.get("MAINPID", "0"))
    if not process:  # systemd.service(5): stop commands run, too, when the process ended by itself
        return 0
    try:
        if words[0] == "save":
            save(server, folder)
        else:
            restore(server, folder, process)
    except (OSError, Refused) as problem:
        warn(f"no more of what was said is {'kept' if words[0] == 'save' else 'taken up'}: {why(problem)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
