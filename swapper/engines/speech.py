"""Our own `swapper.speech`: espeak-ng behind OpenAI's `/v1/audio/speech`. No weights and no GPU: every host has it."""

from pathlib import Path

from swapper.config import Config, Model
from swapper.engines.base import Launch, Parking, program
from swapper.engines.programs import USUAL_PATH

PROGRAM = "/usr/libexec/swapper/swapper-speech"
SPEAKER, ENCODER = "espeak-ng", "ffmpeg"
"""What it starts for each request."""


class Speech:
    """espeak-ng. It answers to any model's name, so aliases need not be told."""

    name = "speech"
    context = None

    def launch(self, model: Model, config: Config) -> Launch:
        """`swapper-speech --socket …/http.sock …`. What is configured as the engine's program is espeak-ng."""
        espeak = program(config, self.name, SPEAKER)
        argv = [PROGRAM, "--socket", str(model.socket), "--name", model.name]
        if espeak != SPEAKER:
            argv += ["--espeak", espeak]
        if model.concurrency is not None:
            argv += ["--slots", str(model.concurrency)]
        return Launch((*argv, *model.args), model.env, "/health", "/slots", (espeak, ENCODER))

    def roots(self, model: Model) -> tuple[Path, ...]:
        """None: voices come with espeak-ng."""
        del model
        return ()

    def files(self, model: Model) -> tuple[Path, ...]:
        """The programs, where they usually are: once somebody has installed them, a failed start works."""
        del model
        return tuple(Path(folder, name) for folder in USUAL_PATH.split(":") for name in (SPEAKER, ENCODER))

    def cached(self, model: Model) -> tuple[Path, ...]:
        """None: nothing is loaded."""
        del model
        return ()

    def programs(self, model: Model, config: Config) -> tuple[Path, ...]:
        """None: what it starts is small, and started when somebody speaks."""
        del model, config
        return ()

    def parking(self, model: Model) -> Parking | None:
        """Never: it has no GPU memory to give back."""
        del model
        return None

    def missing(self, model: Model) -> tuple[str, ...]:
        """Nothing: whether espeak-ng is there is seen at the start, which says what to install."""
        del model
        return ()
