"""Who may do what: `Access` judges, `Gate` counts. Everything here is ours; no socket, no process."""

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swapper import keys
from swapper.config import KeySettings
from swapper.router.access import ANYBODY, NOBODY, Access, Gate, Key, Scope, Secret, is_local, presented
from swapper.router.errors import ApiError

ALICE, ROOT = "alice-0123456789abcdef", "root-0123456789abcdef"
FILE = f"alice inference {ALICE}\nroot admin {ROOT}\n".encode()
PORT = b"localhost:8000"


def keyed(*, hosts: tuple[str, ...] = (), origins: tuple[str, ...] = ()) -> Access:
    return Access(keys.read({"swapper.keys": FILE}).known, hosts, origins, [KeySettings("alice", 2, 1)])


def judge(
    access: Access,
    key: str | None = None,
    *,
    host: bytes = PORT,
    origin: bytes = b"",
    local: bool = True,
    scope: Scope = Scope.INFERENCE,
) -> Key | str:
    """Who it is, or the code of the refusal."""
    try:
        return access.judge(Secret(key.encode()) if key is not None else None, host, origin, local=local, scope=scope)
    except ApiError as error:
        return error.code


def refusal(access: Access, **more: object) -> ApiError:
    fields = {"credential": None, "host": PORT, "origin": b"", "local": True, "scope": Scope.INFERENCE, **more}
    with pytest.raises(ApiError) as caught:
        access.judge(**fields)  # type: ignore[arg-type]
    return caught.value


# -- without keys


@pytest.mark.parametrize("scope", Scope)
def test_without_keys_this_machine_may_do_everything(scope: Scope) -> None:
    assert judge(Access(), scope=scope) is ANYBODY
    assert judge(Access(), "a key that nobody asked for", scope=scope) is ANYBODY


@pytest.mark.parametrize("scope", Scope)
def test_without_keys_nobody_else_may_do_anything(scope: Scope) -> None:
    assert judge(Access(), local=False, scope=scope) == "keys_required"
    assert judge(Access(), ALICE, local=False, scope=scope) == "keys_required"


def test_who_is_refused_learns_what_to_type() -> None:
    error = refusal(Access(), local=False)
    assert error.status == 403
    assert "systemd-id128 new" in error.hint
    assert "/etc/credstore/swapper.keys" in error.hint
    assert "systemctl restart swapper" in error.hint


OURS = [b"", b"localhost", b"localhost:8000", b"LOCALHOST:8000", b"localhost.", b"chat.localhost:8000", b"127.0.0.1",
        b"127.0.0.1:8000", b"192.168.1.20:8000", b"[::1]", b"[::1]:8000", b"[fe80::1]:8000", b"[::ffff:127.0.0.1]:8000",
        b"gpu.lan:8000", b"GPU.LAN", b"gpu.lan.:80"]  # fmt: skip
NOT_OURS = [b"evil.example", b"evil.example:8000", b"localhost.evil.example", b"evillocalhost", b"x.gpu.lan",
            b"127.0.0.1.evil.example", b"127.0.0.1@evil.example", b"evil.example#localhost", b"[::1].evil.example",
            b"1.2.3", b"0x7f.0.0.1", b"2130706433", b"gpu.lan:8000:1", b"[::1", b"::1", b"[v1.x]", b"[127.0.0.1]",
            b"localhost:x", b"localhost, evil.example", b" localhost", b"localhost\n", b"*", b"."]  # fmt: skip


@pytest.mark.parametrize("host", OURS)
def test_the_port_goes_by_addresses_localhost_and_names_that_were_given_to_it(host: bytes) -> None:
    access = Access(hosts=["gpu.lan"])
    assert judge(access, host=host) is ANYBODY
    assert judge(access, host=host) is ANYBODY  # now from memory


@pytest.mark.parametrize("host", NOT_OURS)
def test_a_name_that_anybody_may_have_is_refused(host: bytes) -> None:
    access = Access(hosts=["gpu.lan"])
    assert judge(access, host=host) == "host_refused"
    assert judge(access, host=host) == "host_refused"
    assert "router.hosts" in refusal(access, host=host).hint


@given(st.binary(max_size=40))
def test_whatever_stands_in_host_is_judged(host: bytes) -> None:
    assert judge(Access(), host=host) in (ANYBODY, "host_refused")


def test_what_is_remembered_of_hosts_is_bounded() -> None:
    access = Access()
    for number in range(1, 1000):
        assert judge(access, host=b"127.0.0.1:%d" % number) is ANYBODY
    assert len(access._known) < 100


# -- web pages


SAME = [(b"http://localhost:8000", b"localhost:8000"), (b"https://gpu.lan", b"gpu.lan"),
        (b"http://[::1]:8000", b"[::1]:8000"), (b"http://LOCALHOST:8000", b"localhost:8000")]  # fmt: skip
FOREIGN = [b"null", b"http://localhost", b"http://localhost:3000", b"http://127.0.0.1:8000", b"https://evil.example",
           b"http://localhost:8000.evil.example", b"file://localhost:8000", b"chrome-extension://localhost:8000",
           b"http://localhost:8000, http://localhost:8000", b"http://localhost:8000/", b"localhost:8000", b"*",
           b"https://chat.example.com.evil.example", b"https://chat.example.com:444",
           b"http://chat.example.com"]  # fmt: skip


@pytest.mark.parametrize(("origin", "host"), SAME)
def test_pages_of_the_port_itself_may_use_it(origin: bytes, host: bytes) -> None:
    assert judge(Access(hosts=["gpu.lan"]), origin=origin, host=host) is ANYBODY


@pytest.mark.parametrize("key", [None, ALICE])
@pytest.mark.parametrize("scope", Scope)
@pytest.mark.parametrize("origin", FOREIGN)
def test_no_other_page_may_whatever_key_its_browser_sends(origin: bytes, scope: Scope, key: str | None) -> None:
    access = keyed(origins=("https://chat.example.com",)) if key else Access(origins=["https://chat.example.com"])
    assert judge(access, key, origin=origin, scope=scope) == "origin_refused"
    assert access.cors(origin) == b""
    assert access.preflight(origin) is None


def test_without_a_host_no_origin_is_the_ports_own() -> None:
    assert judge(Access(), host=b"", origin=b"http://") == "origin_refused"


def test_a_refused_page_is_told_which_setting_to_change() -> None:
    error = refusal(Access(), origin=b"https://chat.example.com")
    assert error.status == 403
    assert "router.origins" in error.hint
    assert "https://chat.example.com" in error.message


@pytest.mark.parametrize("origin", [b"https://chat.example.com", b"HTTPS://chat.Example.com"])
def test_pages_of_an_origin_that_was_named_may_use_the_port(origin: bytes) -> None:
    access = keyed(origins=("https://chat.example.com",))
    key = judge(access, ALICE, origin=origin)
    assert isinstance(key, Key)
    assert key.name == "alice"
    assert judge(access, None, origin=origin) == "key_missing"
    lines = access.cors(origin)
    assert lines.endswith(b"\r\n")
    assert b"Access-Control-Allow-Origin: " + origin + b"\r\n" in lines
    assert b"Vary: Origin\r\n" in lines
    assert b"Credentials" not in lines
    answer = access.preflight(origin)
    assert answer is not None
    assert answer.startswith(b"HTTP/1.1 204 ")
    assert answer.endswith(b"\r\n\r\n")
    assert lines in answer
    assert b"Access-Control-Allow-Headers: *, Authorization\r\n" in answer
    assert b"Access-Control-Allow-Private-Network: true\r\n" in answer


def test_a_star_is_every_page_that_says_where_it_is_from() -> None:
    access = Access(origins=["*"])
    assert judge(access, origin=b"https://evil.example") is ANYBODY
    assert b"https://evil.example" in access.cors(b"https://evil.example")
    assert judge(access, origin=b"null") == "origin_refused"
    assert access.cors(b"null") == b""


def test_without_an_origin_nothing_is_said_of_origins() -> None:
    assert Access(origins=["*"]).cors(b"") == b""
    assert Access(origins=["*"]).preflight(b"") is None


def test_an_allowed_page_does_not_make_another_name_ours() -> None:
    """A name that changes its address is refused although the page that uses it would be allowed."""
    assert judge(Access(origins=["*"]), host=b"evil.example:8000", origin=b"http://evil.example:8000") == "host_refused"


# -- with keys


@pytest.mark.parametrize(
    ("key", "scope", "result"),
    [
        (None, Scope.OPEN, ""),
        (None, Scope.INFERENCE, "key_missing"),
        (None, Scope.ADMIN, "key_missing"),
        (ALICE, Scope.OPEN, "alice"),
        (ALICE, Scope.INFERENCE, "alice"),
        (ALICE, Scope.ADMIN, "key_scope"),
        (ROOT, Scope.OPEN, "root"),
        (ROOT, Scope.INFERENCE, "root"),
        (ROOT, Scope.ADMIN, "root"),
        ("wrong", Scope.OPEN, ""),
        ("wrong", Scope.INFERENCE, "key_wrong"),
        ("wrong", Scope.ADMIN, "key_wrong"),
        ("", Scope.INFERENCE, "key_wrong"),
        (ALICE[:-1], Scope.INFERENCE, "key_wrong"),
        (ALICE + "x", Scope.INFERENCE, "key_wrong"),
        (ALICE.upper(), Scope.INFERENCE, "key_wrong"),
    ],
)
@pytest.mark.parametrize("local", [True, False])
def test_a_key_opens_what_its_scope_covers(key: str | None, scope: Scope, result: str, local: bool) -> None:
    judged = judge(keyed(), key, scope=scope, local=local)
    assert (judged.name if isinstance(judged, Key) else judged) == result
    if not result:
        assert judged is NOBODY


def test_what_is_the_same_everywhere_is_anybodys_but_no_other_pages() -> None:
    for key in (None, "wrong", ALICE, ROOT):
        assert judge(keyed(), key, host=b"evil.example", scope=Scope.PUBLIC) is NOBODY
        assert judge(keyed(), key, origin=b"http://evil.example", scope=Scope.PUBLIC) == "origin_refused"
    assert judge(Access(), host=b"evil.example", scope=Scope.PUBLIC) == "host_refused"


def permitted(access: Access, key: str | None, scope: Scope) -> str:
    """What becomes of somebody who was let in."""
    try:
        access.permit(access.owner(Secret(key.encode()) if key is not None else None), scope)
    except ApiError as error:
        return error.code
    return ""


def test_who_was_let_in_is_known_again_and_may_have_what_the_scope_says() -> None:
    assert [permitted(Access(), None, scope) for scope in Scope] == ["", "", "", ""]
    assert [permitted(keyed(), ROOT, scope) for scope in Scope] == ["", "", "", ""]
    assert [permitted(keyed(), ALICE, scope) for scope in Scope] == ["", "", "", "key_scope"]
    for key in (None, "wrong", ""):
        assert [permitted(keyed(), key, scope) for scope in Scope] == ["", "", "key_missing", "key_missing"]


def test_limits_are_found_by_name() -> None:
    access = keyed()
    assert judge(access, ALICE) == Key("alice", admin=False, concurrency=2, priority=1)
    assert judge(access, ROOT) == Key("root", admin=True, concurrency=None)


def test_with_a_key_every_name_is_good_and_without_one_none_that_anybody_may_have() -> None:
    access = keyed()
    assert isinstance(judge(access, ALICE, host=b"gpu.example.com"), Key)
    assert judge(access, host=b"evil.example", scope=Scope.OPEN) == "host_refused"
    assert judge(access, "wrong", host=b"evil.example", scope=Scope.OPEN) == "host_refused"
    assert judge(access, host=b"evil.example") == "key_missing"


def test_a_browser_is_asked_for_a_key_where_people_go() -> None:
    assert refusal(keyed(), scope=Scope.ADMIN).headers["WWW-Authenticate"].startswith("Basic ")
    assert refusal(keyed()).headers["WWW-Authenticate"] == 'Bearer realm="swapper"'
    assert refusal(keyed(), credential=Secret(b"wrong")).headers["WWW-Authenticate"] == 'Bearer realm="swapper"'
    assert [refusal(keyed(), credential=each).status for each in (None, Secret(b"x"))] == [401, 401]
    assert refusal(keyed(), credential=Secret(ALICE.encode()), scope=Scope.ADMIN).status == 403


def test_no_refusal_tells_the_key() -> None:
    for scope in (Scope.INFERENCE, Scope.ADMIN):
        error = refusal(keyed(), credential=Secret(b"not-a-good-key-0123"), scope=scope)
        assert b"not-a-good-key" not in error.body
    assert ALICE.encode() not in refusal(keyed(), credential=Secret(ALICE.encode()), scope=Scope.ADMIN).body


# -- how a key is shown


def basic(text: bytes) -> bytes:
    return b"Basic " + b64encode(text)


@pytest.mark.parametrize(
    ("authorization", "api_key", "value"),
    [
        (b"", b"", None),
        (b"Bearer abc", b"", b"abc"),
        (b"bearer  abc ", b"", b"abc"),
        (b"BEARER abc", b"other", b"abc"),
        (b"", b"abc", b"abc"),
        (basic(b"anybody:abc"), b"", b"abc"),
        (basic(b":abc"), b"", b"abc"),
        (basic(b"me:a:b:c"), b"", b"a:b:c"),
        (basic(b"abc"), b"", b""),
        (b"Basic !!!", b"", b""),
        (b"Basic YWJjOmRlZg", b"", b""),
        (b"Basic", b"", b""),
        (b"Bearer", b"", b""),
        (b"Digest abc", b"", b""),
        (b"abc", b"", b""),
    ],
)
def test_how_a_key_is_shown(authorization: bytes, api_key: bytes, value: bytes | None) -> None:
    secret = presented(authorization, api_key)
    assert (secret.value if secret is not None else None) == value


@given(st.binary(max_size=60))
def test_whatever_is_shown_is_a_key_or_none(field: bytes) -> None:
    for secret in (presented(field, b""), presented(b"Basic " + field, b""), presented(b"", field)):
        assert secret is None or judge(keyed(), secret.value.decode("latin-1")) == "key_wrong"


def test_a_secret_cannot_be_printed() -> None:
    secret = Secret(b"abc")
    assert f"{secret} {secret!r} {[secret]}" == "*** *** [***]"


# -- where it came in


@pytest.mark.parametrize(
    ("sockname", "local"),
    [
        (("127.0.0.1", 8000), True),
        (("127.3.2.1", 8000), True),
        (("::1", 8000, 0, 0), True),
        (("::ffff:127.0.0.1", 8000, 0, 0), True),
        ("/run/swapper/http.sock", True),
        (b"\0abstract", True),
        ("", True),
        (("0.0.0.0", 8000), False),  # noqa: S104
        (("::", 8000, 0, 0), False),
        (("::ffff:192.0.2.7", 8000, 0, 0), False),
        (("192.0.2.7", 8000), False),
        (("fe80::1", 8000, 0, 2), False),
        ((2, 8000), False),  # AF_VSOCK
        (None, False),
    ],
)
def test_what_is_local(sockname: object, local: bool) -> None:
    assert is_local(sockname) is local


# -- how many at once


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_key_without_a_limit_goes_through() -> None:
    gate = Gate(Clock())
    key = Key("root", admin=True)
    assert all(gate.enter(key) is None for _ in range(1000))
    gate.leave(key)
    assert gate.inside == {}


def test_a_key_has_as_many_as_it_may_and_no_more() -> None:
    gate = Gate(Clock())
    alice, bob = Key("alice", admin=False, concurrency=2), Key("bob", admin=False, concurrency=1)
    assert [gate.enter(alice) for _ in range(2)] == [None, None]
    busy = gate.enter(alice)
    assert busy is not None
    assert (busy.code, busy.status, busy.retry_after) == ("key_busy", 429, None)
    assert "alice" in busy.message
    assert gate.enter(bob) is None
    assert gate.inside == {"alice": 2, "bob": 1}
    gate.leave(alice)
    assert gate.enter(alice) is None
    for key in (alice, alice, bob):
        gate.leave(key)
    assert gate.inside == {}


def test_when_to_come_again_is_told_from_how_long_requests_took() -> None:
    clock = Clock()
    gate = Gate(clock)
    alice = Key("alice", admin=False, concurrency=2)
    for _ in range(50):
        assert gate.enter(alice) is None
        clock.now += 8
        gate.leave(alice)
    assert [gate.enter(alice) for _ in range(2)] == [None, None]
    busy = gate.enter(alice)
    assert busy is not None
    assert busy.retry_after == pytest.approx(4.0)  # one of two ends after half of the time
    assert busy.headers["Retry-After"] == "4"


def test_a_limit_that_changed_meanwhile_counts_what_was_there() -> None:
    gate = Gate(Clock())
    old, new = Key("alice", admin=False, concurrency=3), Key("alice", admin=False, concurrency=1)
    assert [gate.enter(old) for _ in range(2)] == [None, None]
    assert gate.enter(new) is not None
    gate.leave(old)
    gate.leave(old)
    assert gate.enter(new) is None
