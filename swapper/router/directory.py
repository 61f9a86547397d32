"""From what a request says to the model that is meant."""

from collections.abc import Callable, Sequence

from swapper.config import Config, ConfigError, Model
from swapper.engines.paths import ASKED, LOOKED_AT
from swapper.router.errors import ApiError
from swapper.router.places import Places
from swapper.router.routes import UPSTREAM, Route
from swapper.router.wire.ports import Target


class Directory:
    """Knows the models by name.

    Attributes:
        mistakes: Why the last configuration read was refused; empty when it was not.
    """

    def __init__(self, places: Places, wanted: Callable[[str], None]) -> None:
        """Know the models of the configuration in force.

        Args:
            places: Has it.
            wanted: Told of each model, by its configured name, that a request is for.
        """
        self.mistakes: Sequence[ConfigError] = ()
        self._places = places
        self._wanted = wanted

    def find(self, name: str) -> Model:
        """The model of this name or alias.

        Raises:
            ApiError: `model_not_found`, with names that are near; `config_invalid` while there is no configuration.
        """
        # What is in force, not what was read last: the scheduler must know whatever is found here.
        config = self._places.config
        model = config.resolve(name)
        if model is not None:
            return model
        if self.mistakes and not config.models:
            listed = "; ".join(str(mistake) for mistake in self.mistakes)
            hint = "Correct the file, then: systemctl reload swapper"
            raise ApiError("config_invalid", f"The configuration is wrong: {listed}", hint)
        near = config.near(name)
        # In the message, since that is all that the official clients show of an error.
        message = f"There is no model named {name[:200]!r}." + (f" Did you mean {' or '.join(near)}?" if near else "")
        raise ApiError("model_not_found", message, "GET /v1/models lists the models.", param="model")

    def resolve(self, name: str, route: Route) -> Target:
        """The model that a request on this route is for.

        Raises:
            ApiError: As `find`; `model_incapable`, with those that could do it.
        """
        model = self.find(name)
        if route.needs in model.incapable:
            raise _incapable(model, route.needs, self._places.config)
        return self._target(model)

    def locate(self, method: bytes, target: bytes) -> Target:
        """The model that a path such as `/upstream/devstral/v1/chat/completions` is for, and the engine's path in it.

        A name may have slashes in it; the longest that is one counts.

        Args:
            method: The request's.
            target: Its path and query.

        Raises:
            ApiError: As `find`; `path_refused`: the engine's path is not for clients.
        """
        model, path, query = self._split(target)
        allowed = (ASKED if method == b"POST" else LOOKED_AT)[model.engine]
        if path not in allowed:
            hint = f"With {method.decode()} there are: {', '.join(sorted(allowed))}."
            raise ApiError("path_refused", f"{path[:200]!r} of {model.name}'s engine cannot be reached here.", hint)
        found = self._target(model)
        return Target(found.name, None, loading_message=False, path=path.encode() + query)

    def _split(self, target: bytes) -> tuple[Model, str, bytes]:
        from urllib.parse import unquote  # noqa: PLC0415 - few requests name their model in the path

        raw, mark, query = target.partition(b"?")
        rest = raw.decode("latin-1").removeprefix(UPSTREAM)
        ends = [index for index, character in enumerate(rest) if character == "/"][:_MOST_SLASHES]
        for end in reversed(ends):
            model = self._places.config.resolve(unquote(rest[:end]))
            if model is not None:
                return model, rest[end:], mark + query
        name = unquote(rest[: ends[0]] if ends else rest)
        return self.find(name), "", b""

    def _target(self, model: Model) -> Target:
        self._wanted(model.name)
        return Target(model.name, model.filters, model.loading_message)


_MOST_SLASHES = 16
_DOES = {
    "chat": "does not chat",
    "completions": "does not complete text",
    "embeddings": "makes no embeddings",
    "rerank": "does not rerank",
    "score": "does not score",
    "transcription": "does not transcribe",
    "translation": "does not translate speech",
    "speech": "does not speak",
    "images": "makes no images",
}


def _incapable(model: Model, needs: str, config: Config) -> ApiError:
    able = [other.name for other in config.models if needs in other.capabilities and needs not in other.incapable]
    others = f"Models that can: {', '.join(able)}." if able else "No configured model can."
    # In the message, since that is all that the official clients show of an error.
    return ApiError("model_incapable", f"{model.name} {_DOES[needs]}. {others}",
                    "Name another model, or correct `capabilities` of this one in the configuration.",
                    param="model")  # fmt: skip
