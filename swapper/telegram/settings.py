"""/etc/swapper/telegram.yaml → a frozen `Settings`, or every mistake at once, as the router's configuration has it.

What a key is for is said in the tables below, and nowhere else (`config/table.py`).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from swapper.config.errors import ConfigErrors
from swapper.config.kinds import TEXT, each, matching, number, parsed, word
from swapper.config.nodes import Reader, Value, kind
from swapper.config.sections import Section
from swapper.config.table import Key, Kind, Part, Table
from swapper.telegram.agent.choose import Wished

FILE = Path("/etc/swapper/telegram.yaml")
ROUTER = "http://127.0.0.1:8000"
API = "https://api.telegram.org"
HISTORY = 40
SYSTEM = (
    "You are a helpful assistant in a Telegram chat. Answer in the language of the question, no longer than it takes."
)
VOICES = ("on", "off", "auto")
AGENTS = ("tools", "codex")
APPROVALS = ("on-request", "untrusted")
WEBHOOKS = "/telegram/"
"""Where the path of a webhook begins: what else port 4000 serves must not be shadowed."""

_AT = r"(?:\[[^\]\s]+\]|[^/?#\s@:]+)"
_URL = re.compile(rf"(?P<scheme>https?)://{_AT}(?::(?P<port>[0-9]{{1,5}}))?(?P<path>/[^?#\s]*)?")
_PORTS = ("443", "80", "88", "8443")
"""Telegram calls no others ("setWebhook" in the Bot API's manual)."""

_NUMBER = re.compile(r"-?[0-9]{1,19}")


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where Telegram calls.

    Attributes:
        url: What Telegram is told.
        path: Its path, which arrives here unchanged.
    """

    url: str
    path: str


@dataclass(frozen=True, slots=True)
class Codex:
    """How Codex is run, where it answers.

    Attributes:
        program: Its command, or where that is.
        approval: When it asks, in its own words: `on-request`, or `untrusted` for all but harmless commands.
    """

    program: str = "codex"
    approval: str = "on-request"


@dataclass(frozen=True, slots=True)
class Settings:
    """The bot's configuration.

    Attributes:
        users: Who is answered anywhere, by Telegram's numbers.
        groups: Whose members are all answered there; below zero.
        model: For those who have not chosen; empty: the first that chats.
        system: The system prompt of those who have not set their own.
        history: Turns of a conversation that are remembered.
        voice: One of `VOICES`, for those who have not said /voice.
        agent: One of `AGENTS`: who answers.
        codex: How Codex is run.
        senses: Which models hear, see and speak, as far as that is said.
        router: The models' address, without a slash at its end.
        api: The Bot API's, likewise.
        webhook: None: the bot asks for updates itself.
    """

    users: frozenset[int] = frozenset()
    groups: frozenset[int] = frozenset()
    model: str = ""
    system: str = SYSTEM
    history: int = HISTORY
    voice: str = "auto"
    agent: str = "tools"
    codex: Codex = field(default_factory=Codex)
    senses: Wished = field(default_factory=Wished)
    router: str = ROUTER
    api: str = API
    webhook: Webhook | None = None


def user(text: str) -> int:
    """A person's number. Raises ValueError with what was wanted, as those below do."""
    if not _NUMBER.fullmatch(text) or int(text) <= 0:
        raise ValueError("the number of a person, such as 123456789: the bot tells it to whoever writes to it")
    return int(text)


def group(text: str) -> int:
    """A group's number."""
    if not _NUMBER.fullmatch(text) or int(text) >= 0:
        raise ValueError("the number of a group, such as -1001234567890: the bot tells it to who mentions it there")
    return int(text)


def address(text: str) -> str:
    """A server's address, without a slash at its end."""
    match = _URL.fullmatch(text)
    if match is None:
        raise ValueError("an address, such as http://127.0.0.1:8000")
    return text.rstrip("/")


def webhook(text: str) -> Webhook:
    """The URL of a webhook. Telegram calls nothing but HTTPS ("setWebhook" in the Bot API's manual)."""
    match = _URL.fullmatch(text)
    path = (match["path"] or "") if match else ""
    if match is None or match["scheme"] != "https" or not path.startswith(WEBHOOKS) or path == WEBHOOKS:
        raise ValueError(f"a URL that begins with https:// and whose path begins with {WEBHOOKS} and goes on")
    if match["port"] not in {None, *_PORTS}:
        raise ValueError("a URL with port 443, 80, 88 or 8443: Telegram calls no other")
    return Webhook(text, path)


def _prompt(reader: Reader, value: Value, what: str) -> str | None:
    """A text of any number of lines."""
    if hasattr(value.node, "value") and isinstance(value.node.value, str):
        return value.node.value.strip()
    reader.wrong(value, f"{what} wants a text, not {kind(value)}", "put quotes around it")
    return None


_USUAL = Settings()


def _numbered(sign: str, limit: str, parse: Callable[[str], int], words: str) -> Kind[tuple[int, ...]]:
    """A list of Telegram's numbers."""
    schema = {"anyOf": [{"type": "integer", limit: 0}, matching(f"{sign}0*[1-9][0-9]*")]}
    return each(parsed("number", schema, parse, int), words)


class AllowKeys(Table):
    """`allow:`."""

    users = Key(
        _numbered("", "exclusiveMinimum", user, "list of numbers"), (), "People, by number, wherever they write."
    )
    groups = Key(
        _numbered("-", "exclusiveMaximum", group, "list of numbers below zero"),
        (),
        "Groups, by number: all their members, where they mention the bot or reply to it. A group that Telegram gives "
        "another number, as it becomes a supergroup, keeps what it has.",
    )


class CodexKeys(Table):
    """`codex:`."""

    program = Key(TEXT, _USUAL.codex.program, "Where the client is, if not on the PATH.")
    approval = Key(
        word(APPROVALS),
        _USUAL.codex.approval,
        "`on-request`: it asks when it wants to leave its sandbox; `untrusted`: before all but harmless commands.",
    )


class SenseKeys(Table):
    """`senses:`."""

    hears = Key(TEXT, _USUAL.senses.hears, "The model that transcribes.")
    sees = Key(TEXT, _USUAL.senses.sees, "The model that looks at pictures.")
    speaks = Key(TEXT, _USUAL.senses.speaks, "The model that speaks.")
    voice = Key(TEXT, _USUAL.senses.voice, "By which it speaks.")


class TopKeys(Table):
    """telegram.yaml."""

    allow = Part(
        AllowKeys,
        "Who is answered. Nobody, if nothing is said: whoever else writes is told the number to be put here, and "
        "nothing more. `swapperctl telegram pair` lets somebody in without it.",
    )
    model = Key(
        TEXT,
        _USUAL.model,
        "The model of those who have not chosen one with /model: any name that the router knows. If not said, the "
        "first that chats.",
    )
    system = Key(
        Kind("text", matching(r"[\s\S]*", bare=True), _prompt),
        _USUAL.system,
        "What every model is told first; /system replaces it in one chat.",
    )
    history = Key(
        number(least=2), _USUAL.history, "How many messages are remembered: questions and answers, the last ones."
    )
    voice = Key(word(VOICES), _USUAL.voice, "Spoken answers where nobody said /voice; `auto` is to who spoke.")
    agent = Key(
        word(AGENTS),
        _USUAL.agent,
        "Who answers in chats: `tools`, the bot's own agent, which looks, listens, reads and speaks, and can do "
        "nothing else; or `codex`, OpenAI's Codex, which works on files and runs commands: swapper-codex@.service(8).",
    )
    codex = Part(CodexKeys, "How Codex is run, where it answers.")
    senses = Part(
        SenseKeys,
        "Which models hear, see and speak. What is not said is found by capabilities, or by names such as `asr`, "
        "`vision`, `tts`.",
    )
    router = Key(
        parsed("URL", matching(f"https?://{_AT}(?::[0-9]{{1,5}})?(?:/[^?#\\s]*)?"), address),
        _USUAL.router,
        "Where the models are. If that wants an API key: credential `swapper-telegram.key`.",
    )
    api = Key(
        router.kind,
        _USUAL.api,
        "The Bot API; another one is a server of your own (github.com/tdlib/telegram-bot-api).",
    )
    webhook = Key(
        parsed("URL", matching(f"https://{_AT}(?::(?:{'|'.join(_PORTS)}))?{WEBHOOKS}[^?#\\s]+"), webhook),
        None,
        "Where Telegram calls, instead of being asked for news: something with a certificate has to pass it on to "
        f"http://127.0.0.1:4000, its path unchanged. That begins with {WEBHOOKS}, and the port is one of "
        f"{', '.join(_PORTS)}.",
    )


def load(path: Path = FILE) -> Settings:
    """Read the configuration.

    Raises:
        ConfigErrors: With every mistake in it.
    """
    reader = Reader()
    document = reader.document(path)
    top = Section(reader, [document] if document is not None else [], TopKeys)
    settings = _settings(top)
    top.close()
    if reader.errors:
        raise ConfigErrors(reader.errors)
    return settings


def _settings(top: Section) -> Settings:
    allow = top.below(TopKeys.allow)
    users, groups = allow.get(AllowKeys.users), allow.get(AllowKeys.groups)
    settings = Settings(
        users=frozenset(users),
        groups=frozenset(groups),
        model=top.get(TopKeys.model),
        system=top.get(TopKeys.system),
        history=top.get(TopKeys.history),
        voice=top.get(TopKeys.voice),
        agent=top.get(TopKeys.agent),
        codex=_codex(top.below(TopKeys.codex)),
        senses=_senses(top.below(TopKeys.senses)),
        router=top.get(TopKeys.router),
        api=top.get(TopKeys.api),
        webhook=top.get(TopKeys.webhook),
    )
    allow.close()
    return settings


def _senses(section: Section) -> Wished:
    wished = Wished(
        hears=section.get(SenseKeys.hears),
        sees=section.get(SenseKeys.sees),
        speaks=section.get(SenseKeys.speaks),
        voice=section.get(SenseKeys.voice),
    )
    section.close()
    return wished


def _codex(section: Section) -> Codex:
    codex = Codex(program=section.get(CodexKeys.program), approval=section.get(CodexKeys.approval))
    section.close()
    return codex
