"""models_status: which models there are, and what they are doing."""

from collections.abc import Iterable, Mapping, Sequence

from swapper.client import Model
from swapper.telegram.agent.choose import Wished
from swapper.telegram.agent.shelf import Shelf
from swapper.telegram.agent.tools.base import Arguments, Bench, Result, Say, schema


class ModelsStatus:
    """The tool."""

    name = "models_status"
    description = "List the models of this machine: names, what they can do, and whether they are loaded."
    parameters: Mapping[str, object] = schema()

    def useful(self, shelf: Shelf, models: Sequence[Model], wished: Wished) -> bool:
        """Always."""
        del shelf, models, wished
        return True

    async def run(self, bench: Bench, shelf: Shelf, arguments: Arguments, say: Say) -> Result:
        """See `Tool`."""
        del shelf, arguments
        say("asking for the models' states")
        return Result(listing(await bench.router.models()), "model server")


def listing(models: Iterable[Model]) -> str:
    """A line for each model."""
    return "\n".join(_line(model) for model in models) or "There are no models."


def _line(model: Model) -> str:
    aliases = f" (also {', '.join(model.aliases)})" if model.aliases else ""
    context = f", context of {model.context} tokens" if model.context else ""
    return f"{model.name}{aliases}: {model.state}; {', '.join(sorted(model.capabilities))}{context}"
