r"""Text → words of unit files: the one place where arguments and values are written down for systemd.

systemd reads a line of words in three steps (systemd.service(5) "COMMAND LINES", systemd.syntax(7) "QUOTING"): quotes
and C-style escapes, then `%` specifiers, and, for commands only, `$` variables. The last step is switched off by a `:`
before a command, so that `$` needs no care; the other two are undone here.

Characters that systemd does not take, line breaks above all, were refused when the configuration was read.
"""

import re

_PLAIN = re.compile(r"[A-Za-z0-9_./:=,@+-]+")


def word(text: str) -> str:
    """One word. A plain one stays as it is, so that `systemctl cat` reads well."""
    return text if _PLAIN.fullmatch(text) else quoted(text)


def words(*texts: str) -> str:
    """Several words, on one line."""
    return " ".join(map(word, texts))


def sentence(text: str) -> str:
    """A value that is not split into words, such as `Description=`: only specifiers matter."""
    return text.replace("%", "%%")


def quoted(text: str) -> str:
    """One word in quotes, needed or not: where `:` separates, as in `BindReadOnlyPaths=`, they keep a path together."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t").replace("%", "%%")
    return f'"{escaped}"'
