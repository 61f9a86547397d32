"""The engine `speech` with the real espeak-ng and ffmpeg: what is said, in which form, and what is left of it.

Sound is judged by decoders that had no part in making it where there are some (opusdec), else by ffprobe and ffmpeg.
"""

import contextlib
import http.client
import itertools
import json
import struct
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.job.house import (
    BASIC,
    Answer,
    ask,
    chat,
    configure,
    connect,
    journal,
    main_pid,
    rest_of,
    run,
    sentence,
    show,
    state,
    until,
)
from tests.job.mishaps import agree, detail, nothing_is_left, override
from tests.media import sight
from tests.system.look import processes
from tests.vllm.rig import transcribe

CONFIG = f"""{BASIC}
  voice: {{engine: speech, aliases: [tts]}}
  stimme: {{engine: speech, args: [--language, de]}}
  one: {{engine: speech, concurrency: 1}}
"""
HELLO = "Hello, this is Swapper speaking."
LONG = ("The quick brown fox jumps over the lazy dog, and then it sleeps. " * 70)[:4096]
_ONE_CHANNEL = struct.pack("<IHHIIHH", 16, 1, 1, 24000, 48000, 2, 16)
UNMEASURED = b"RIFF\xff\xff\xff\xffWAVEfmt " + _ONE_CHANNEL + b"data\xff\xff\xff\xff"
PROBED = {
    "mp3": ("audio/mpeg", "mp3", "24000"),
    "opus": ("audio/ogg", "opus", "48000"),
    "aac": ("audio/aac", "aac", "24000"),
    "flac": ("audio/flac", "flac", "24000"),
    "wav": ("audio/wav", "pcm_s16le", "24000"),
}


@pytest.fixture(autouse=True)
def _configured(_clean: None) -> None:
    configure(CONFIG)


def speak(text: str = HELLO, *, model: str = "voice", **fields: object) -> Answer:
    return ask("POST", "/v1/audio/speech", {"model": model, "input": text, "response_format": "pcm", **fields})


def sound(answer: Answer) -> bytes:
    assert answer.status == 200, answer.body
    return answer.body


def alike(some: bytes, other: bytes) -> bool:
    """Whether two sounds are the same but for rounding."""
    pairs = zip(memoryview(some).cast("h"), memoryview(other).cast("h"), strict=False)
    return len(some) == len(other) and all(abs(one - two) <= 8 for one, two in pairs)


def seconds(pcm: bytes) -> float:
    """How long 16-bit samples of one channel at 24 kHz take."""
    return len(pcm) / 2 / 24000


def decoded(encoded: bytes, *command: str) -> bytes:
    """What a decoder makes of it; it has nothing to complain of."""
    done = subprocess.run(command, input=encoded, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout


def by_ffmpeg(encoded: bytes) -> bytes:
    command = ("ffmpeg", "-v", "warning", "-xerror", "-i", "-", "-ar", "24000", "-ac", "1", "-f", "s16le", "-")
    return decoded(encoded, *command)


def at_work(name: str = "voice") -> set[str]:
    """The processes of its unit that speak."""
    return set(processes(f"speech@{name}.service").values()) & {"espeak-ng", "ffmpeg"}


@pytest.fixture
def _unvaried() -> Iterator[None]:
    """An espeak-ng whose clock stands still: it varies pitch a little, by chance that it takes from the second."""
    (library,) = Path("/usr/lib").glob("*/faketime/libfaketime.so.1")
    program = Path("/usr/local/bin/espeak-ng-unvaried")
    words = f"LD_PRELOAD={library} FAKETIME_DISABLE_SHM=1 FAKETIME='2026-01-01 00:00:00' exec espeak-ng \"$@\""
    program.write_text(f"#!/bin/sh\n{words}\n")
    program.chmod(0o755)
    configure(f"{CONFIG}engines: {{speech: {{path: {program}}}}}\n")
    yield
    program.unlink()


@contextlib.contextmanager
def listening(text: str = LONG, **fields: object) -> Iterator[http.client.HTTPResponse]:
    """An answer of minutes of sound, of which the first part has been heard; the rest waits for whoever reads it."""
    with contextlib.closing(connect()) as connection:
        body = {"model": "voice", "input": text, "response_format": "pcm", **fields}
        connection.request("POST", "/v1/audio/speech", json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        assert response.status == 200
        assert response.read1(1000)
        yield response


@pytest.mark.parametrize("form", PROBED)
def test_every_format_is_what_it_is_called(form: str, tmp_path: Path) -> None:
    answer = speak(response_format=form)
    media_type, codec, rate = PROBED[form]
    assert answer.headers["Content-Type"] == media_type
    file = tmp_path / f"sound.{form}"
    file.write_bytes(sound(answer))
    shown = run("ffprobe", "-v", "error", "-show_entries", "stream=codec_name,sample_rate,channels", "-of", "csv=p=0",
                str(file))  # fmt: skip
    assert shown.strip() == f"{codec},{rate},1"
    # Which says "unknown" for its length, as OpenAI's does; ffmpeg calls that a file that may be invalid.
    pcm = answer.body.removeprefix(UNMEASURED) if form == "wav" else by_ffmpeg(answer.body)
    assert seconds(pcm) == pytest.approx(seconds(sound(speak())), abs=0.15)


@pytest.mark.parametrize("form", ["wav", "mp3", "flac"])
def test_what_listens_understands_what_speaks(form: str) -> None:
    """llama-server's decoders; the tiny model hears nothing in it, but it has to get sound to answer."""
    sight.write_models()
    configure(f"models:\n  voice: {{engine: speech}}\n  ear: {sight.EAR}\n")
    spoken = sound(speak(response_format=form))
    assert transcribe(("model", "ear"), ("file", f"voice.{form}", spoken)).json["text"] == sentence("ear")


def test_nothing_said_of_the_format_is_mp3() -> None:
    answer = ask("POST", "/v1/audio/speech", {"model": "tts", "input": HELLO})
    assert answer.headers["Content-Type"] == "audio/mpeg"
    assert seconds(by_ffmpeg(sound(answer))) > 1


def test_opus_is_what_messengers_take_for_a_voice_message() -> None:
    """Ogg, one stream of Opus, one channel (RFC 7845, 5.1), which Xiph's own decoder reads."""
    ogg = sound(speak(response_format="opus"))
    assert (ogg[:4], ogg[28:36], ogg[36], ogg[37]) == (b"OggS", b"OpusHead", 1, 1)
    pcm = decoded(ogg, "opusdec", "--quiet", "--rate", "24000", "--no-dither", "-", "-")
    assert seconds(pcm) == pytest.approx(seconds(sound(speak())), abs=0.15)


def test_a_faster_one_is_shorter_and_a_slower_one_longer() -> None:
    usual = seconds(sound(speak()))
    assert 1 < usual < 5
    for speed, least, most in ((0.25, 3.0, 5.0), (0.5, 1.6, 2.5), (2, 0.35, 0.65), (4, 0.15, 0.4)):
        assert least < seconds(sound(speak(speed=speed))) / usual < most, speed


@pytest.mark.usefixtures("_unvaried")
def test_openais_voices_and_languages_all_sound_different() -> None:
    usual = sound(speak())
    names = ask("GET", "/upstream/voice/v1/audio/voices").json["voices"]
    assert len(names) == 13
    heard = [sound(speak(voice=name)) for name in (*names, "en-us", "en-gb", "de", "de+f3", "de+whisper")]
    assert not [pair for pair in itertools.combinations(heard, 2) if alike(*pair)]
    assert min(map(seconds, heard)) > 1
    assert [name for name, said in zip(names, heard, strict=False) if alike(said, usual)] == ["alloy"]


@pytest.mark.usefixtures("_unvaried")
def test_the_engines_language_is_that_of_voices_which_name_none() -> None:
    german = sound(speak(model="stimme", voice="nova"))
    assert alike(german, sound(speak(voice="de+f3")))
    assert not alike(german, sound(speak(voice="nova")))


def test_text_is_read_and_never_obeyed() -> None:
    long_break = "<speak>Hello.<break time='20s'/>You.</speak>"
    assert 2 < seconds(sound(speak(long_break))) < 12
    for text in ("--help", "-v de --version", "$(reboot); `id`", "\x01450S Hello.", "-", "\x00", "..."):
        assert speak(text).status == 200, text
    assert seconds(sound(speak("\x01450S" + HELLO))) > seconds(sound(speak(HELLO)))
    phonemes = subprocess.run(["espeak-ng", "--stdout", "[[h@l'oU]]"], capture_output=True, check=True).stdout
    assert seconds(sound(speak("[[h@l'oU]]"))) > 1.3 * len(phonemes) / 2 / 22050
    assert seconds(sound(speak("Grüße, 你好, 🙂", voice="de"))) > 0.5


def test_a_long_text_is_heard_while_it_is_still_being_spoken() -> None:
    with listening() as response:
        assert at_work()
        rest, whole = rest_of(response)
    assert whole
    assert 150 < seconds(rest) < 400
    until(lambda: not at_work(), "nobody speaks any more")


def test_who_leaves_ends_the_speech() -> None:
    with listening():
        assert at_work()
    until(lambda: not at_work(), "nobody speaks any more")
    until(lambda: detail("voice", "leases") == 0, "the lease is free")
    assert seconds(sound(speak())) > 1
    nothing_is_left()


def test_speech_that_breaks_off_does_not_look_whole() -> None:
    with listening() as response:
        speakers = [pid for pid, name in processes("speech@voice.service").items() if name == "espeak-ng"]
        run("kill", "-KILL", *map(str, speakers))
        _, whole = rest_of(response)
    assert not whole
    assert "espeak-ng ended with status -9" in journal("speech@voice")
    assert seconds(sound(speak())) > 1


@pytest.mark.usefixtures("_unvaried")
def test_twenty_at_once_each_hear_their_own() -> None:
    texts = [f"This is number {number}." for number in range(20)]
    with ThreadPoolExecutor(20) as pool:
        heard = [sound(answer) for answer in pool.map(speak, texts)]
    assert not [pair for pair in itertools.combinations(heard, 2) if alike(*pair)]
    assert alike(heard[7], sound(speak(texts[7])))
    assert show("speech@voice.service", "StatusText").endswith("(swapper-speech, 8 slots)")
    assert not at_work()
    nothing_is_left()


def test_no_more_speak_at_once_than_may() -> None:
    with ThreadPoolExecutor(1) as pool, listening(model="one"):
        second = pool.submit(speak, model="one")
        until(lambda: detail("one", "waiting") == 1, "the second one waits")
        assert not second.done()
    assert seconds(sound(second.result())) > 1


def test_it_stays_beside_models_that_swap() -> None:
    assert chat("alpha").content == sentence("alpha")
    alpha = main_pid("llama@alpha")
    assert seconds(sound(speak())) > 1
    speaker = main_pid("speech@voice")
    assert (state("alpha"), main_pid("llama@alpha")) == ("ready", alpha)
    assert chat("beta").content == sentence("beta")
    assert (state("alpha"), state("voice"), main_pid("speech@voice")) == ("stopped", "ready", speaker)
    assert (detail("voice", "gpus"), detail("voice", "memory")) == ([], [])


def test_it_is_a_unit_like_others() -> None:
    run("systemctl", "start", "speech@voice")
    agree()
    assert (state("voice"), show("speech@voice", "Slice")) == ("ready", "swapper-models.slice")
    pid = main_pid("speech@voice")
    assert seconds(sound(speak())) > 1
    assert main_pid("speech@voice") == pid
    assert Path("/proc", str(pid), "ns/net").readlink() != Path("/proc/1/ns/net").readlink()
    assert int(Path("/proc", str(pid), "status").read_text().partition("VmRSS:")[2].split()[0]) < 40 * 1024  # KiB
    run("systemctl", "stop", "speech@voice")
    agree()
    assert (state("voice"), show("speech@voice", "Result")) == ("stopped", "success")
    assert not Path("/run/swapper/speech@voice").exists()
    assert ask("POST", "/api/models/voice/load").status in {200, 202}


def test_a_stop_in_the_middle_leaves_nobody_who_speaks() -> None:
    with listening() as response:
        run("systemctl", "stop", "speech@voice")
        # What has ended and is not buried yet (a zombie) speaks no more.
        alive = ("pgrep", "--count", "--runstates", "RSDT", "espeak-ng|ffmpeg")
        assert run(*alive, check=False).strip() == "0"
        assert not rest_of(response)[1]


@pytest.mark.parametrize("missing", ["espeak-ng", "ffmpeg"])
def test_what_is_not_installed_is_named(missing: str, tmp_path: Path) -> None:
    for folder in (tmp_path, *tmp_path.parents[:2]):  # pytest's own, and no further: /tmp is everybody's
        folder.chmod(0o755)
    for there in {"espeak-ng", "ffmpeg"} - {missing}:
        (tmp_path / there).symlink_to(f"/usr/bin/{there}")
    with override("speech@voice", f"PrivateTmp=no\nEnvironment=PATH={tmp_path}"):
        answer = speak()
        assert (answer.status, answer.error["code"]) == (503, "model_failed")
        assert f"{missing} is not installed: apt install espeak-ng ffmpeg" in answer.error["message"]
        assert show("speech@voice", "ExecMainStatus") == "203"
        assert show("speech@voice", "StatusText").startswith(f"{missing} is not installed: apt install")


def test_a_language_that_espeak_does_not_have_is_a_failed_start_that_says_so() -> None:
    configure(CONFIG.replace("--language, de", "--language, klingon"))
    answer = speak(model="stimme")
    assert (answer.status, answer.error["code"]) == (503, "model_failed")
    assert "espeak-ng does not speak 'klingon', but af, " in "".join(answer.error["journal"])


@pytest.mark.parametrize(
    ("fields", "code", "said"),
    [
        ({"voice": "nobody"}, "voice_unknown", "There are: alloy, ash, ballad"),
        ({"voice": "../../etc/passwd"}, "voice_unknown", "There are: alloy"),
        ({"input": ""}, "invalid_request", "`input` has to be the text"),
        ({"input": LONG + "x"}, "invalid_request", "`input` has 4097 characters, and may have 4096"),
        ({"response_format": "midi"}, "format_unknown", "`response_format` can be mp3, opus, aac, flac, wav, pcm"),
        ({"speed": 5}, "invalid_request", "`speed` has to be a number from 0.25 to 4.0"),
    ],
)
def test_what_is_refused(fields: dict[str, object], code: str, said: str) -> None:
    answer = ask("POST", "/v1/audio/speech", {"model": "voice", "input": HELLO, **fields})
    assert (answer.status, answer.error["code"]) == (400, code)
    assert said in answer.error["message"]


def test_who_is_asked_for_what_it_cannot_do_names_those_that_can() -> None:
    answer = chat("voice")
    assert (answer.status, answer.error["code"]) == (400, "model_incapable")
    assert answer.error["message"] == "voice does not chat. Models that can: alpha, beta, gamma."
    answer = speak(model="alpha")
    assert answer.error["message"] == "alpha does not speak. Models that can: voice, stimme, one."
    assert (state("voice"), state("alpha")) == ("stopped", "stopped")


def test_what_clients_are_told_of_it() -> None:
    assert seconds(sound(speak())) > 1
    card = ask("GET", "/v1/models/tts").json
    assert (card["id"], card["state"], card["engine"], card["capabilities"]) == ("voice", "ready", "speech", ["speech"])
    assert card["architecture"] == {"input_modalities": ["text"], "output_modalities": ["audio"]}
    assert card["context_length"] is None
    voices = ask("GET", "/upstream/tts/v1/audio/voices").json
    assert {"de", "en-us", "fr-fr"} <= set(voices["languages"])
    assert {"f3", "whisper"} <= set(voices["variants"])
    assert ask("GET", "/upstream/tts/slots").status == 403
    assert ask("POST", "/upstream/tts/v1/audio/speech", {"input": HELLO}).status == 200
    assert ask("POST", "/tokenize", {"model": "tts", "content": "x"}).status == 404
