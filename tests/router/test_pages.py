"""The dashboard's files: small, whole, of this machine alone, and without a way for text to become markup."""

import gzip
import re
from pathlib import Path

import pytest
from aiohttp.test_utils import make_mocked_request

from swapper.router.api.pages import FOLDER, POLICY, Pages
from swapper.router.routes import Scope, scope

PAGES = Pages()
SCRIPTS = sorted(FOLDER.glob("*.js"))
TEXTS = sorted(FOLDER.iterdir())
FIRST_PAINT = 100 * 1024
IMPORT = re.compile(r"""(?:from|import)\s*\(?\s*"\./([a-z0-9-]+\.js)\"""")


def imports(name: str, *, later: bool = False) -> set[str]:
    """What a script takes of others: as it is read, or also what it fetches later."""
    text = (FOLDER / name).read_text()
    text = re.sub(r"^\s*(//|\*|/\*\*).*$", "", text, flags=re.MULTILINE)
    return {match[1] for match in IMPORT.finditer(text) if later or not match[0].startswith("import(")}


def needed(name: str) -> set[str]:
    """A script and all that has to be there before it runs."""
    found, waiting = set(), [name]
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            waiting += imports(one)
    return found


def test_the_first_page_is_less_than_100_kib() -> None:
    index = (FOLDER / "index.html").read_text()
    linked = set(re.findall(r'(?:href|src)="ui/([a-z0-9.-]+)"', index))
    files = {"index.html"} | linked | needed("main.js")
    sizes = {name: len(file.content) for name in files if (file := PAGES.find(name)) is not None}
    assert sizes.keys() == files
    assert sum(sizes.values()) < FIRST_PAINT, sizes


def test_what_is_fetched_beforehand_is_needed() -> None:
    index = (FOLDER / "index.html").read_text()
    assert set(re.findall(r'modulepreload" href="ui/([a-z0-9.-]+)"', index)) <= needed("main.js")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_find_each_other_and_are_one_sitting_long(script: Path) -> None:
    assert imports(script.name, later=True) <= set(PAGES.names)
    lines = script.read_text().splitlines()
    assert len(lines) <= 300
    assert lines[0].startswith("// "), "a module says what it is"


def test_every_script_is_used() -> None:
    used = {name for script in SCRIPTS for name in imports(script.name, later=True)} | {"main.js"}
    assert {script.name for script in SCRIPTS} <= used


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_nothing_comes_from_elsewhere(path: Path) -> None:
    text = path.read_text().replace('"http://www.w3.org/2000/svg"', "")  # a name, and no address
    assert "//www" not in text
    assert not re.search(r"(https?:)?//[a-z0-9-]+\.[a-z]", text), path
    assert "@import" not in text
    assert not re.search(r"url\((?!#)", text)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_text_from_outside_never_becomes_markup_or_a_program(script: Path) -> None:
    text = script.read_text()
    for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "DOMParser", "javascript:",
                "createContextualFragment", "eval(", "new Function", "setAttribute(\"style\"", "srcdoc"):  # fmt: skip
        assert way not in text, way


def test_nothing_is_inline() -> None:
    index = (FOLDER / "index.html").read_text()
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=", index)
    assert re.findall(r"<script([^>]*)>([^<]*)</script>", index) == [(' type="module" src="ui/main.js"', "")]


def test_the_policy_allows_what_the_page_has_and_nothing_else() -> None:
    rules = dict(rule.strip().partition(" ")[::2] for rule in POLICY.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == rules["style-src"] == rules["connect-src"] == "'self'"
    assert "unsafe" not in POLICY
    assert "*" not in POLICY
    assert rules["frame-ancestors"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert rules["require-trusted-types-for"] == "'script'"


def test_whoever_has_a_file_is_not_sent_it_again() -> None:
    for packs in ({}, {"Accept-Encoding": "gzip, br"}):
        file = PAGES.find("main.js")
        assert file is not None
        first = file.answer(make_mocked_request("GET", "/ui/main.js", headers=packs))
        tag = first.headers["ETag"]
        has = {**packs, "If-None-Match": f'"x", {tag}'}
        again = file.answer(make_mocked_request("GET", "/ui/main.js", headers=has))
        assert (first.status, again.status) == (200, 304)
        assert again.headers["ETag"] == tag
        other = file.answer(make_mocked_request("GET", "/ui/main.js", headers={**packs, "If-None-Match": '"old"'}))
        assert other.status == 200
        assert first.headers["Cache-Control"] == "no-cache"
        assert first.headers["Content-Security-Policy"] == POLICY


def test_packed_and_plain_are_the_same() -> None:
    for name in PAGES.names:
        file = PAGES.find(name)
        assert file is not None
        assert gzip.decompress(file.packed) == file.content == (FOLDER / name).read_bytes()
    assert PAGES.find("../shapes.py") is PAGES.find("") is None


def test_every_file_is_free_to_be_had_and_no_other_spelling_is() -> None:
    for name in PAGES.names:
        assert scope(b"GET", f"/ui/{name}".encode()) is Scope.PUBLIC
    for path in (b"/ui/../api/models", b"/ui/..%2fmetrics", b"/ui/a/../../metrics", b"/ui#/metrics", b"/ui/main.js/..",
                 b"/ui//main.js", b"/ui/%2e%2e/metrics", b"/ui/main.js?x"):  # fmt: skip
        assert scope(b"GET", path) is Scope.ADMIN
    assert scope(b"POST", b"/ui") is Scope.ADMIN
