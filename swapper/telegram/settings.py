"""/etc/swapper/telegram.yaml → a frozen `Settings`, or every mistake at once, as the router's configuration has it."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from swapper.config.errors import ConfigErrors
from swapper.config.nodes import Reader, Value, kind
from swapper.config.sections import Section
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

_URL = re.compile(r"(?P<scheme>https?)://(?:\[[^\]\s]+\]|[^/?#\s@:]+)(?::(?P<port>[0-9]{1,5}))?(?P<path>/[^?#\s]*)?")
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


def load(path: Path = FILE) -> Settings:
    """Read the configuration.

    Raises:
        ConfigErrors: With every mistake in it.
    """
    reader = Reader()
    document = reader.document(path)
    top = Section(reader, [document] if document is not None else [])
    settings = _settings(top)
    top.close()
    if reader.errors:
        raise ConfigErrors(reader.errors)
    return settings


def _settings(top: Section) -> Settings:
    allow = top.below("allow")
    settings = Settings(
        users=frozenset(allow.each("users", lambda value, what: allow.reader.parsed(value, what, user))),
        groups=frozenset(allow.each("groups", lambda value, what: allow.reader.parsed(value, what, group))),
        model=top.parsed("model", str, ""),
        system=top.take("system", lambda value, what: _prompt(top.reader, value, what), SYSTEM),
        history=top.number("history", least=2) or HISTORY,
        voice=top.word("voice", VOICES) or "auto",
        agent=top.word("agent", AGENTS) or "tools",
        codex=_codex(top.below("codex")),
        senses=_senses(top.below("senses")),
        router=top.parsed("router", address, ROUTER),
        api=top.parsed("api", address, API),
        webhook=top.parsed("webhook", webhook, None),
    )
    allow.close()
    return settings


def _senses(section: Section) -> Wished:
    usual = Wished()
    wished = Wished(
        hears=section.parsed("hears", str, usual.hears),
        sees=section.parsed("sees", str, usual.sees),
        speaks=section.parsed("speaks", str, usual.speaks),
        voice=section.parsed("voice", str, usual.voice),
    )
    section.close()
    return wished


def _codex(section: Section) -> Codex:
    usual = Codex()
    codex = Codex(
        program=section.parsed("program", str, usual.program),
        approval=section.word("approval", APPROVALS) or usual.approval,
    )
    section.close()
    return codex


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
    if match["port"] not in {None, "80", "88", "443", "8443"}:
        raise ValueError("a URL with port 443, 80, 88 or 8443: Telegram calls no other")
    return Webhook(text, path)


def _prompt(reader: Reader, value: Value, what: str) -> str | None:
    """A text of any number of lines."""
    if hasattr(value.node, "value") and isinstance(value.node.value, str):
        return value.node.value.strip()
    reader.wrong(value, f"{what} wants a text, not {kind(value)}", "put quotes around it")
    return None
