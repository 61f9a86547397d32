"""Starts the engine: `swapper-speech --socket PATH --name MODEL [--language de] [--slots 8] [--espeak PROGRAM]`."""

import argparse
import subprocess
import sys

from swapper.speech.server import Server
from swapper.speech.sound import installed

SLOTS = 8
"""Who may speak at once, where nothing is said. A slot is a client that listens; it costs the processor little."""

USUAL_LANGUAGE = "en-us"


def main() -> int:
    """Serve until SIGTERM, which has its usual effect: the unit ends what is left."""
    parser = argparse.ArgumentParser(prog="swapper-speech", allow_abbrev=False)
    parser.add_argument("--socket", required=True, help="unix socket to listen on")
    parser.add_argument("--name", required=True, help="the model's name")
    parser.add_argument("--language", default=USUAL_LANGUAGE, help="what voices speak that name no language")
    parser.add_argument("--slots", type=int, default=SLOTS, help="how many may speak at once")
    parser.add_argument("--espeak", default="espeak-ng", help="the program that speaks")
    given = parser.parse_args()
    try:
        voices = installed(given.espeak, given.language)
    except (OSError, subprocess.CalledProcessError) as error:
        parser.error(f"{given.espeak} does not list its voices: {error}")
    if given.language not in voices.languages:
        known = ", ".join(sorted(voices.languages))
        parser.error(f"--language: espeak-ng does not speak {given.language!r}, but {known}")
    server = Server(given.socket, name=given.name, espeak=given.espeak, voices=voices, slots=max(given.slots, 1))
    server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
