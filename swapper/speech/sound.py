"""From a wish to sound: espeak-ng speaks into ffmpeg, and what that writes is handed on as it comes.

Two processes for each request, which end with it: when it is answered, when its client leaves, when one of them fails.
"""

import contextlib
import os
import select
import subprocess
from collections.abc import Iterator
from types import TracebackType
from typing import IO, Self, cast

from swapper.speech.refusal import Refusal
from swapper.speech.voices import Voices, read_languages, read_variants
from swapper.speech.wish import Wish

USUAL_RATE, SLOWEST_RATE = 175, 80
"""Words a minute: what espeak-ng does unless told otherwise, and below which it does not go (espeak-ng(1), `-s`)."""

ENCODER = "ffmpeg"
_QUIET = (ENCODER, "-hide_banner", "-nostdin", "-loglevel", "error", "-threads", "1")
# espeak-ng writes a WAV file whose length it does not know yet. Without bitexact the version of ffmpeg is told in each.
_FROM_PIPE = ("-f", "wav", "-ignore_length", "1", "-i", "pipe:0", "-ac", "1", "-fflags", "+bitexact")
_TO_PIPE = ("-flush_packets", "1", "-flags:a", "+bitexact", "pipe:1")
_TO_FILE = ("-flags:a", "+bitexact", "-fd")  # then its number, and "fd:" (ffmpeg-protocols(1))
_BLOCK = 64 * 1024
_ENDED = select.POLLIN | select.POLLHUP


class ClientGone(Exception):  # noqa: N818 -- nothing is wrong
    """Nobody listens any more."""


def installed(espeak: str, language: str) -> Voices:
    """The voices that espeak-ng has.

    Raises:
        OSError: It cannot be run.
        subprocess.CalledProcessError: It failed.
    """
    languages, variants = (
        subprocess.run([espeak, option], check=True, stdout=subprocess.PIPE, text=True).stdout
        for option in ("--voices", "--voices=variant")
    )
    return Voices(read_languages(languages), read_variants(variants), language)


def speaker(espeak: str, wish: Wish) -> tuple[str, ...]:
    """The command line of espeak-ng: UTF-8 on standard input, as plain text and no SSML (that takes `-m`)."""
    rate = max(round(USUAL_RATE * wish.speed), SLOWEST_RATE)
    return (espeak, "-v", wish.voice, "-s", str(rate), "-b", "1", "--stdin", "--stdout")


def encoder(wish: Wish, file: int | None = None) -> tuple[str, ...]:
    """The command line of ffmpeg. What is to be slower than espeak-ng can speak is stretched by it.

    Args:
        wish: What is wanted.
        file: Descriptor of the file that it writes to; a pipe if there is none.
    """
    rate = USUAL_RATE * wish.speed
    stretch = ("-filter:a", f"atempo={rate / SLOWEST_RATE:.3f}") if rate < SLOWEST_RATE else ()
    target = _TO_PIPE if file is None else (*_TO_FILE, str(file), "fd:")
    return (*_QUIET, *_FROM_PIPE, *stretch, *wish.format.encoder, *target)


class Speaking:
    """The two processes of one request, for the length of a `with` block."""

    def __init__(self, espeak: str, wish: Wish) -> None:
        """Prepare to speak; nothing is started yet."""
        self._espeak = espeak
        self._wish = wish
        self._processes: list[subprocess.Popen[bytes]] = []
        self._sound = -1
        self._file: int | None = None

    def __enter__(self) -> Self:
        """Start them.

        Raises:
            Refusal: One of them cannot be started.
        """
        try:
            self._start()
        except OSError as error:
            self._end()
            hint = "apt install espeak-ng ffmpeg"
            raise Refusal("speech_failed", f"What speaks cannot be started: {error}.", hint) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def blocks(self, client: int) -> Iterator[bytes]:
        """The sound, a block at a time, as soon as there is some.

        Args:
            client: Descriptor of the client's connection.

        Raises:
            ClientGone: It has been closed on the other side.
            Refusal: One of the processes failed.
        """
        watch = select.poll()
        watch.register(self._sound, select.POLLIN)
        watch.register(client, select.POLLRDHUP)
        while True:
            seen = dict(watch.poll())
            if client in seen:
                raise ClientGone
            if not seen.get(self._sound, 0) & _ENDED:
                continue
            block = os.read(self._sound, _BLOCK)
            if not block:
                break
            yield block
        self._judge()
        yield from self._written()

    def _judge(self) -> None:
        failed = [process for process in self._processes if process.wait()]
        if failed:  # the last one: who speaks to somebody who is gone fails too
            words, status = cast("tuple[str, ...]", failed[-1].args), failed[-1].returncode
            hint = "Its journal may say why: journalctl -u 'speech@*'"
            raise Refusal("speech_failed", f"{words[0]} ended with status {status}.", hint)

    def _written(self) -> Iterator[bytes]:
        """What is in the file, if there is one."""
        position = 0
        while self._file is not None and (block := os.pread(self._file, _BLOCK, position)):
            position += len(block)
            yield block

    def _start(self) -> None:
        command = speaker(self._espeak, self._wish)
        speaking = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        self._processes.append(speaking)
        if self._wish.format.whole:
            self._file = os.memfd_create("speech")
        encoding = subprocess.Popen(
            encoder(self._wish, self._file), stdin=speaking.stdout, stdout=subprocess.PIPE, bufsize=0,
            pass_fds=() if self._file is None else (self._file,),
        )  # fmt: skip
        self._processes.append(encoding)
        cast("IO[bytes]", speaking.stdout).close()  # ffmpeg has it: so espeak-ng ends when ffmpeg does
        with contextlib.suppress(BrokenPipeError), cast("IO[bytes]", speaking.stdin) as text:
            text.write(self._wish.text)  # less than the 64 KiB that a pipe takes at once (pipe(7))
        self._sound = cast("IO[bytes]", encoding.stdout).fileno()

    def _end(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
        if self._file is not None:
            os.close(self._file)
