"""The shell around the scheduler. Systemd is played by the test, which notes what it is told and reports for it."""

import asyncio
from collections.abc import Awaitable, Callable

from swapper.core.events import ActiveState, ConfigApplied, UnitChanged
from swapper.core.invariants import validate
from swapper.core.model import Demand, Failure, Gpu, ModelSpec
from swapper.core.scheduler import Scheduler
from swapper.router.runtime import Runtime, Ticket
from tests.core.playbook import NO_TURNS


class Systemd:
    """Takes orders and does nothing about them."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def start(self, model: str) -> None:
        self.told.append(f"start {model}")

    def stop(self, model: str) -> None:
        self.told.append(f"stop {model}")

    def park(self, model: str) -> None:
        self.told.append(f"park {model}")

    def wake(self, model: str) -> None:
        self.told.append(f"wake {model}")

    def start_early(self, model: str) -> None:
        self.told.append(f"start {model} early")


class Asker:
    """Notes what it is told; may do something then."""

    def __init__(self, then: Callable[[], object] = lambda: None) -> None:
        self.ticket: Ticket | None = None
        self.heard: list[str] = []
        self.loading = 0.0
        self._then = then

    def admitted(self, socket: str, loading: float = 0.0) -> None:
        self.heard.append(f"admitted {socket}")
        self.loading = loading
        self._then()

    def rejected(self, failure: Failure) -> None:
        self.heard.append(f"rejected {failure.code}")
        self._then()

    def aborted(self, failure: Failure) -> None:
        self.heard.append(f"aborted {failure.code}")
        self._then()


class Stage:
    """A runtime with two models on one GPU."""

    def __init__(self) -> None:
        self.systemd = Systemd()
        self.forgotten: list[str] = []
        self.runtime = Runtime(Scheduler(), lambda model: f"/{model}.sock", self.forgotten.append)
        self.runtime.orders = self.systemd
        models = tuple(ModelSpec(name, (Demand(0),), ttl=ttl) for name, ttl in (("a", None), ("b", None), ("c", 0.01)))
        self.runtime.dispatch(ConfigApplied(models, (Gpu(0),), NO_TURNS))

    def state(self, model: str) -> str:
        record = self.runtime.scheduler.record(model)
        assert record is not None
        return record.state

    def up(self, model: str) -> None:
        self.runtime.dispatch(UnitChanged(model, ActiveState.ACTIVATING, f"{model}1"))
        self.runtime.dispatch(UnitChanged(model, ActiveState.ACTIVE, f"{model}1"))
        validate(self.runtime.scheduler)


def staged(play: Callable[[Stage], Awaitable[None]]) -> None:
    async def run() -> None:
        stage = Stage()
        await play(stage)
        assert stage.runtime.requests == 0
        validate(stage.runtime.scheduler)
        stage.runtime.close()

    asyncio.run(run())


def test_a_ready_model_is_given_before_the_call_returns() -> None:
    async def play(stage: Stage) -> None:
        stage.up("a")
        asker = Asker()
        ticket = stage.runtime.request("a", asker)
        assert asker.heard == ["admitted /a.sock"]
        assert asker.ticket is ticket
        ticket.release()
        ticket.release()

    staged(play)


def test_what_comes_up_while_actions_are_carried_out_waits_its_turn() -> None:
    async def play(stage: Stage) -> None:
        tickets: list[Ticket] = []
        heard: list[str] = []

        def release_first() -> None:
            heard.append("released")
            tickets[0].release()

        first, second = Asker(release_first), Asker(lambda: heard.append("second"))
        tickets += [stage.runtime.request("a", first), stage.runtime.request("a", second)]
        stage.up("a")
        assert heard == ["released", "second"]
        tickets[1].release()

    staged(play)


def test_a_ticket_released_in_the_moment_of_its_turn_is_not_used() -> None:
    async def play(stage: Stage) -> None:
        tickets: list[Ticket] = []

        def release_second() -> None:
            tickets[1].release()

        first, second = Asker(release_second), Asker()
        tickets += [stage.runtime.request("a", first), stage.runtime.request("a", second)]
        stage.up("a")
        assert second.heard == []
        tickets[0].release()

    staged(play)


def test_a_client_that_breaks_does_not_keep_the_others_from_theirs() -> None:
    async def play(stage: Stage) -> None:
        def breaks() -> None:
            raise RuntimeError("a defect of the client's")

        broken, sound = Asker(breaks), Asker()
        tickets = [stage.runtime.request("a", broken), stage.runtime.request("a", sound)]
        stage.up("a")
        assert sound.heard == ["admitted /a.sock"]
        for ticket in tickets:
            ticket.release()

    staged(play)


def test_a_swap_forgets_connections_before_the_unit_is_stopped() -> None:
    async def play(stage: Stage) -> None:
        stage.up("a")
        ticket = stage.runtime.request("b", Asker())
        assert stage.systemd.told == ["stop a"]
        assert stage.forgotten == ["/a.sock"]
        ticket.release()

    staged(play)


def test_the_timer_is_armed_for_the_deadline() -> None:
    async def play(stage: Stage) -> None:
        stopped = asyncio.Event()
        stage.runtime.watch(lambda change: stopped.set() if change.new == "stopping" else None)
        stage.up("c")
        async with asyncio.timeout(20):
            await stopped.wait()
        assert stage.systemd.told == ["stop c"]

    staged(play)


def test_those_who_wait_are_turned_away_and_those_who_are_served_are_not() -> None:
    async def play(stage: Stage) -> None:
        stage.up("a")
        served, waits = Asker(), Asker()
        ticket = stage.runtime.request("a", served)
        stage.runtime.request("b", waits)
        stage.runtime.turn_away(Failure("router_stopping", "It ends."))
        assert waits.heard == ["rejected router_stopping"]
        assert served.heard == ["admitted /a.sock"]
        ticket.release()

    staged(play)


def test_a_look_at_a_model_loads_nothing_and_puts_off_no_end() -> None:
    async def play(stage: Stage) -> None:
        away = stage.runtime.peek("c")
        assert isinstance(away, Failure)
        assert (away.code, stage.systemd.told) == ("model_not_loaded", [])
        stopping = asyncio.Event()
        stage.runtime.watch(lambda change: stopping.set() if change.new == "stopping" else None)
        stage.up("c")
        async with asyncio.timeout(20):
            while not stopping.is_set():
                assert stage.runtime.peek("c") == "/c.sock"
                await asyncio.sleep(0)
        assert isinstance(stage.runtime.peek("c"), Failure)

    staged(play)


def test_a_look_sees_a_model_that_drains_and_none_that_nobody_configured() -> None:
    async def play(stage: Stage) -> None:
        stage.up("a")
        held, waits = stage.runtime.request("a", Asker()), stage.runtime.request("b", Asker())
        assert stage.state("a") == "draining"
        assert stage.runtime.peek("a") == "/a.sock"
        assert isinstance(stage.runtime.peek("nobody"), Failure)
        waits.release()
        held.release()

    staged(play)


def test_places_in_the_queue() -> None:
    async def play(stage: Stage) -> None:
        tickets = [stage.runtime.request("a", Asker()) for _ in range(3)]
        assert [stage.runtime.place(ticket) for ticket in tickets] == [1, 2, 3]
        tickets[0].release()
        assert [stage.runtime.place(ticket) for ticket in tickets] == [0, 1, 2]
        stage.up("a")
        assert [stage.runtime.place(ticket) for ticket in tickets] == [0, 0, 0]
        for ticket in tickets:
            ticket.release()

    staged(play)


def test_who_waited_for_a_load_is_told_how_long_it_took() -> None:
    async def play(stage: Stage) -> None:
        asker, late = Asker(), Asker()
        loop = asyncio.get_running_loop()
        asked, tick = loop.time(), loop.create_future()
        tickets = [stage.runtime.request("a", asker)]
        loop.call_later(0.03, tick.set_result, None)
        await tick
        stage.up("a")
        assert 0.02 < asker.loading <= loop.time() - asked
        tickets.append(stage.runtime.request("a", late, light=True))
        assert (late.heard, late.loading) == (["admitted /a.sock"], 0.0)
        for ticket in tickets:
            ticket.release()

    staged(play)
