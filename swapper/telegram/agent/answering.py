"""One answer of the agent with tools; `loop.py` says how it goes."""

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from swapper.client import Comment, Model, RouterError
from swapper.telegram.agent.aloud import aloud
from swapper.telegram.agent.base import Failed, Finished, Request, Text, Thinking, Turn
from swapper.telegram.agent.board import Board
from swapper.telegram.agent.calls import Assembly, Call, refusals
from swapper.telegram.agent.choose import find
from swapper.telegram.agent.failures import words
from swapper.telegram.agent.limits import Budget, Limits, context_share
from swapper.telegram.agent.manners import Manner
from swapper.telegram.agent.marks import data
from swapper.telegram.agent.prompt import Message, beginning, compose, shown, system
from swapper.telegram.agent.senses import Senses
from swapper.telegram.agent.shelf import Item, Shelf
from swapper.telegram.agent.telling import GaveUpError, Tell, no_answer
from swapper.telegram.agent.thinking import Thoughts
from swapper.telegram.agent.tools import Bench, Result, Tool, ToolError

_LOG = logging.getLogger(__name__)

_CUT = "\n\n_(This came to no end, and is cut off here.)_"

@dataclass(frozen=True, slots=True)
class Asked:
    """A question.

    Attributes:
        request: As the chat asks it.
        models: What the router has.
        tools: What may be called.
        shelf: What was sent in the conversation.
    """

    request: Request
    models: Sequence[Model]
    tools: Sequence[Tool]
    shelf: Shelf = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shelf", Shelf(self.request.turns))


@dataclass(slots=True)
class _Step:
    """What a completion has brought."""

    text: list[str] = field(default_factory=list)
    calls: Sequence[Call] = ()
    parts: int = 0
    tokens: int = 0


class Answering:
    """Makes one answer.

    Attributes:
        begun: Whether anything of it has been told, so that it cannot be begun anew.
    """

    def __init__(self, bench: Bench, limits: Limits, asked: Asked, tell: Tell) -> None:
        """Make one.

        Args:
            bench: What tools work with.
            limits: Of this answer.
            asked: The question.
            tell: Takes events.
        """
        self.begun = False
        self._bench = bench
        self._asked = asked
        self._tell = tell
        self._board = Board(tell)
        self._senses = Senses(bench, asked.shelf, asked.request.turns, self._board)
        self._budget = Budget(limits)
        self._made: set[str] = set()
        self._noted: list[Turn] = []
        self._said: list[str] = []
        model = find(asked.models, asked.request.model)
        self._context = None if model is None else model.context
        self._room = context_share(limits, self._context)

    async def answer(self, manner: Manner) -> Finished:
        """Answer; what is to be noted of it.

        Raises:
            RouterError: The router or an engine failed.
            GaveUpError: Something else did.
            OSError: A file cannot be used.
        """
        self._noted = list(await self._senses.texts(sees=manner.sees, room=self._room))
        messages = await self._compose(manner)
        tools = self._tools() if manner.tools else ()
        while True:
            step = await self._step(messages, tools)
            if not step.calls:
                break
            messages += await self._call(step, tools)
        asked = self._asked
        if not "".join(self._said).strip():
            raise no_answer(asked.request.model)
        if asked.request.speak:
            await aloud(self._bench, asked.models, "".join(self._said), self._board, self._tell)
        return Finished(tuple(self._noted))

    def _tools(self) -> Sequence[Tool]:
        """Those that are of use here. Who is spoken to anyway needs no voice message more."""
        asked = self._asked
        useful = [tool for tool in asked.tools if tool.useful(asked.shelf, asked.models, self._bench.wished)]
        return [tool for tool in useful if not (tool.name == "speak" and asked.request.speak)]

    async def _compose(self, manner: Manner) -> list[Message]:
        request, shelf = self._asked.request, self._asked.shelf
        turns = [*request.turns, *self._noted]
        first = min(beginning(turns, self._context), len(request.turns) - 1)
        rules = system(request.system, tools=manner.tools)
        pictures = shown(shelf, sees=manner.sees)
        return await asyncio.to_thread(compose, turns, shelf, first, rules, pictures, _read)

    async def _step(self, messages: Sequence[Message], tools: Sequence[Tool]) -> _Step:
        """One completion."""
        budget, model = self._budget, self._asked.request.model
        if budget.left == 0 or budget.steps >= budget.limits.steps:
            raise GaveUpError(Failed("too_much", f"{model} came to no end.", "Ask for less at once."))
        # No `max_tokens`: vLLM refuses what could be more than its context. Every part is a token at least.
        body: dict[str, object] = {"model": model, "messages": messages}
        if tools:
            body["tools"] = [_described(tool) for tool in tools]
            body["tool_choice"] = "none" if budget.last else "auto"
        step, assembly = _Step(), Assembly(f"call{budget.steps}-")
        say, thoughts = self._board.line("model"), Thoughts()
        async with contextlib.aclosing(self._bench.router.chat(body)) as stream:
            async for heard in stream:
                if isinstance(heard, Comment):
                    say(heard.text)
                    continue
                thought, text = thoughts.sort(heard.text)
                self._pass_on(step, text, heard.thought + thought)
                assembly.add(heard.calls)
                step.tokens += heard.tokens
                step.parts += 1
                if step.parts > budget.left:
                    self._tell(Text(_CUT))
                    return step
        thought, text = thoughts.end()
        self._pass_on(step, text, thought)
        self._board.wipe("model")
        step.calls = assembly.calls()
        return step

    def _pass_on(self, step: _Step, text: str, thought: str) -> None:
        if thought:
            self.begun = True
            self._tell(Thinking(thought))
        if text:
            self.begun = True
            if not step.text and self._said:
                text = f"\n\n{text.lstrip()}"
            step.text.append(text)
            self._said.append(text)
            self._tell(Text(text))

    async def _call(self, step: _Step, tools: Sequence[Tool]) -> list[Message]:
        """Have the step's calls carried out; what the model is told of it."""
        self.begun = True
        refused = refusals(step.calls, [tool.name for tool in tools], self._made)
        self._made |= {call.key for call in step.calls if call.id not in refused}
        self._budget.spend(step.tokens or step.parts, refused=len(refused), called=len(step.calls))
        named = {tool.name: tool for tool in tools}
        async with asyncio.TaskGroup() as group:
            running = [
                group.create_task(self._result(call, named.get(call.name), refused.get(call.id)), name=call.name)
                for call in step.calls
            ]
        said: Message = {
            "role": "assistant",
            "content": "".join(step.text).strip(),
            "tool_calls": [call.message for call in step.calls],
        }
        told: list[Message] = [
            {"role": "tool", "tool_call_id": call.id, "content": task.result()}
            for call, task in zip(step.calls, running, strict=True)
        ]
        return [said, *told]

    async def _result(self, call: Call, tool: Tool | None, refused: str | None) -> str:
        """What the model is told of a call."""
        if tool is None or refused is not None:
            return f"error: {refused}"
        key = object()
        try:
            result = await tool.run(self._bench, self._asked.shelf, call.arguments or {}, self._board.line(key))
        except ToolError as error:
            return f"error: {data(str(error), call.name, 500)}"
        except RouterError as error:
            _LOG.warning("%s: %s", call.name, error)
            what, _ = words(error)
            return f"error: {what.format(model='the model for it')}"
        except OSError as error:
            _LOG.warning("%s: %s", call.name, error)
            return "error: a file could not be used"
        finally:
            self._board.wipe(key)
        return self._take(result)

    def _take(self, result: Result) -> str:
        if result.spoken is not None:
            self._tell(result.spoken)
        text = data(result.text, result.about, self._room)
        if result.noted:
            self._noted.append(Turn("user", text))
        return text


def _described(tool: Tool) -> Message:
    function = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return {"type": "function", "function": function}


def _read(item: Item) -> bytes | None:
    with contextlib.suppress(OSError):
        return item.medium.path.read_bytes()
    return None
