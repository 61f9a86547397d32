"""The agent against the installed router and real llama-servers: models, files, and what an answer was."""

import contextlib
import json
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from swapper.client import Router
from swapper.outside.addresses import Allowed
from swapper.telegram.agent.base import Event, Failed, Finished, Medium, Progress, Request, Text, Thinking, Turn
from swapper.telegram.agent.choose import Wished
from swapper.telegram.agent.limits import Limits
from swapper.telegram.agent.loop import ToolAgent
from swapper.telegram.agent.tools import Bench
from swapper.telegram.agent.tools.page import page_door
from tests.job.house import MODELS, write_gguf
from tests.lab import gguf, media
from tests.media import sight

URL = "http://127.0.0.1:8000"
TEMPLATE = Path(__file__).parents[2] / "clients" / "tools.jinja"
STUBBORN, STRICT, FETCHING, KNOWING = "stubborn.jinja", "strict.jinja", "fetching.jinja", MODELS / "knowing.jinja"

KNOWS = """
{%- if tools %}{{ raise_exception('tools are not supported') }}{% endif -%}
{%- set told = namespace(all='') -%}
{%- for m in messages -%}<|im_start|>{{ m['role'] }}
{{ m['content'] }}<|im_end|>
{%- if m['role'] == 'user' %}{% set told.all = told.all + (m['content'] | string) %}{% endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}<|im_start|>assistant
{% if 'This is ear' in told.all or 'This is eye' in told.all or told.all.split('<__media') | length > 2 -%}
<|think|>{%- endif -%}{%- endif -%}
"""
"""A chat template without tools: the model thinks where it was told what was heard or seen, or sees two pictures."""

CONFIG = f"""
models:
  talker: {{engine: llama, model: talker.gguf, context: 65536}}
  eye: {sight.EYE.replace("4096", "16384")}
  ear: {sight.EAR}
  slow: {{engine: llama, model: weighty.gguf, context: 4096, args: [-lm, none]}}
  caller: {{engine: llama, model: calls.gguf, context: 65536, args: [--chat-template-file, {MODELS / "tools.jinja"}]}}
  stubborn: {{engine: llama, model: stubborn.gguf, context: 65536, args: [--chat-template-file, {MODELS / STUBBORN}]}}
  strict: {{engine: llama, model: strict.gguf, context: 65536, args: [--chat-template-file, {MODELS / STRICT}]}}
  fetcher: {{engine: llama, model: fetcher.gguf, context: 65536, args: [--chat-template-file, {MODELS / FETCHING}]}}
  keen: {{engine: llama, model: keen.gguf, context: 65536, args: [--chat-template-file, {KNOWING}]}}
  blind: {{engine: llama, model: talker.gguf, context: 65536, capabilities: [chat, vision]}}
"""

BOTH = "Both were done."
"""What `caller` says after its two tools."""


def write_models() -> None:
    """The files that `CONFIG` names."""
    sight.write_models()
    write_gguf("talker")
    write_gguf("strict")
    write_gguf("keen")
    write_gguf("weighty", size_mb=1500)
    template = TEMPLATE.read_text()
    (MODELS / "tools.jinja").write_text(template)
    KNOWING.write_text(KNOWS)
    # One that calls its tool again, whatever came of it.
    (MODELS / STUBBORN).write_text(template.replace("<|then|>", ""))
    # One that goes on only if what its tool has told is material, from its beginning to its end.
    whole = "and m['content'].startswith('<data') and m['content'].endswith('</data>')"
    once = "and m['content'].split('</data') | length == 2 and m['content'].split('<data') | length == 2"
    last = "{% set m = messages[-1] %}{% if m['role'] == 'tool' "
    (MODELS / FETCHING).write_text(template.replace("{% if messages[-1]['role'] == 'tool' ", f"{last}{whole} {once} "))
    refusal = "{%- if tools %}{{ raise_exception('tools are not supported') }}{% endif -%}"
    (MODELS / STRICT).write_text(refusal + template)
    calls = [call("describe_image", id="i1"), call("models_status")]
    gguf.write_model(MODELS / "calls.gguf", "\n".join(calls), then=BOTH)
    gguf.write_model(MODELS / "stubborn.gguf", call("models_status"))


def wordy(name: str) -> str:
    """A model's line for Codex, each letter of whose long instructions is a token."""
    longer = "--override-kv, 'llama.context_length=int:131072'"
    arguments = f"[--chat-template-file, {MODELS / 'tools.jinja'}, {longer}]"
    more = f"context: 131072, concurrency: 1, gpu: 1, args: {arguments}"
    return f"  {name}: {{engine: llama, model: {name}.gguf, {more}}}\n"


def call(name: str, **arguments: object) -> str:
    """A call as `tools.jinja` has it."""
    return f"<tool_call>\n{json.dumps({'name': name, 'arguments': arguments})}\n</tool_call>"


def voice(folder: Path, sound: bytes = b"", mime: str = "audio/wav") -> Medium:
    """A recording."""
    path = folder / "voice"
    path.write_bytes(sound or media.wav())
    return Medium("audio", mime, "voice.ogg" if mime == "audio/ogg" else "voice.wav", path)


def photo(folder: Path, name: str = "photo.png") -> Medium:
    """A picture."""
    path = folder / name
    path.write_bytes(media.png())
    return Medium("image", "image/png", name, path)


@dataclass
class Answer:
    """What came of a question."""

    events: list[Event] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The answer."""
        return "".join(event.text for event in self.events if isinstance(event, Text))

    @property
    def thoughts(self) -> str:
        """The reasoning."""
        return "".join(event.text for event in self.events if isinstance(event, Thinking))

    @property
    def progress(self) -> list[str]:
        """What was said meanwhile."""
        return [event.text for event in self.events if isinstance(event, Progress)]

    @property
    def noted(self) -> tuple[Turn, ...]:
        """What is to be remembered; the test fails where the answer failed."""
        assert isinstance(self.events[-1], Finished), self.events[-1]
        return self.events[-1].noted

    @property
    def failed(self) -> Failed:
        """What went wrong; the test fails where nothing did."""
        assert isinstance(self.events[-1], Failed), self.events[-1]
        return self.events[-1]


@contextlib.asynccontextmanager
async def router(url: str = URL) -> AsyncIterator[Router]:
    """A client of the router."""
    async with aiohttp.ClientSession() as session:
        yield Router(session, url)


@contextlib.asynccontextmanager
async def agent(
    folder: Path,
    wished: Wished | None = None,
    limits: Limits | None = None,
    url: str = URL,
    allowed: Collection[str] = (),
) -> AsyncIterator[ToolAgent]:
    """An agent; pages come from the public internet, and from what is allowed beside."""
    async with router(url) as client:
        door = page_door(Allowed(allowed))
        try:
            yield ToolAgent(Bench(client, door, folder, wished or Wished()), limits)
        finally:
            await door.close()


async def answered(asked: ToolAgent, model: str, *turns: Turn, speak: bool = False) -> Answer:
    """Ask, and take the whole answer."""
    return Answer([event async for event in asked.answer(Request(model, "Be kind.", turns, speak))])
