"""What systemd announced becomes what is known; what is news is told once."""

from swapper.core.events import ActiveState
from swapper.host.known import Known
from swapper.host.status import UnitStatus, object_path

UNIT = "llama@devstral.service"
FIRST, SECOND = [1] * 16, [2] * 16


class Book:
    """What is known, and what was told of it."""

    def __init__(self) -> None:
        self.told: list[UnitStatus] = []
        self.known = Known(("llama@*.service", "vllm@*.service"), self.told.append)

    def change(self, active: str, invocation: list[int] = FIRST, **service: object) -> None:
        """Both halves of a change, as systemd sends them."""
        self.known.service_changed(UNIT, {"Result": "success", "StatusText": "", "ExecMainStatus": 0, **service})
        self.known.unit_changed(UNIT, {"ActiveState": active, "InvocationID": invocation})

    def states(self) -> list[str]:
        return [status.active for status in self.told]


def test_a_failure_is_told_once_and_with_its_reason() -> None:
    book = Book()
    book.change("activating")
    book.change("active")
    book.known.service_changed(UNIT, {"Result": "exit-code", "ExecMainStatus": 3})
    assert book.states() == ["activating", "active"]
    book.known.unit_changed(UNIT, {"ActiveState": "failed"})
    assert book.states() == ["activating", "active", "failed"]
    assert (book.told[-1].result, book.told[-1].exit_status) == ("exit-code", 3)
    book.change("failed", SECOND)
    assert book.states() == ["activating", "active", "failed"]
    book.change("activating", SECOND)
    assert book.told[-1].invocation == bytes(SECOND).hex()


def test_what_a_unit_says_of_itself_is_told_with_its_state() -> None:
    book = Book()
    book.change("activating", StatusText="Loading")
    book.change("active", StatusText="Serving")
    book.change("active", StatusText="Serving")
    assert [(status.active, status.status_text) for status in book.told] == [
        ("activating", "Loading"),
        ("active", "Serving"),
    ]


def test_what_is_read_later_counts_as_if_announced() -> None:
    book = Book()
    book.change("active")
    book.known.read(UNIT, {"ActiveState": "active", "InvocationID": SECOND, "LoadState": "loaded"})
    assert [status.invocation for status in book.told] == [bytes(FIRST).hex(), bytes(SECOND).hex()]


def test_a_unit_that_is_loaded_no_more_is_inactive() -> None:
    book = Book()
    book.change("active")
    book.known.loaded([UNIT])
    assert book.states() == ["active"]
    book.known.loaded([])
    assert book.states() == ["active", "inactive"]
    book.known.loaded([])
    assert book.states() == ["active", "inactive"]
    assert book.known.seen(UNIT) == UnitStatus(UNIT)


def test_other_units_can_be_read_and_are_not_told_of() -> None:
    book = Book()
    status = book.known.read("ssh.service", {"ActiveState": "active"})
    assert status.active is ActiveState.ACTIVE
    assert book.told == []
    assert book.known.name_of(object_path("ssh.service")) == ""
    assert book.known.name_of(object_path(UNIT)) == UNIT
