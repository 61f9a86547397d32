"""Orders to start a profile's target are told before anything comes of them, and other jobs of it are not."""

from tests.system.host.units import systemctl, unit_name, write_target
from tests.system.host.watch import ACTIVE, INACTIVE, command, run, watching


def test_an_order_is_told_when_it_is_given_and_when_it_is_over() -> None:
    wanted, other = unit_name("b"), unit_name("a")
    target = write_target("set", f"Wants={wanted}\nAfter={wanted} {other}\nConflicts={other}")
    systemctl("daemon-reload")

    async def test() -> None:
        async with watching() as watch:
            await watch.units.start(other)
            await command("systemctl", "start", target)
            await watch.until(lambda: watch.orders == [(target, True), (target, False)])
            assert watch.states(wanted)[-1] is ACTIVE
            assert watch.states(other)[-1] is INACTIVE
            await command("systemctl", "stop", target)
            await watch.units.stop(wanted)
            await command("systemctl", "start", target)
            await watch.until(lambda: len(watch.orders) == 4)
            assert watch.orders[2:] == [(target, True), (target, False)], "the stop in between is none"

    run(test())


def test_an_order_that_is_withdrawn_is_over_too() -> None:
    slow = unit_name("slow")
    target = write_target("late", f"Wants={slow}\nAfter={slow}")
    systemctl("daemon-reload")

    async def test() -> None:
        async with watching() as watch:
            await command("systemctl", "start", "--no-block", target)
            await watch.until(lambda: watch.orders == [(target, True)])
            await command("systemctl", "stop", target)
            await watch.until(lambda: watch.orders == [(target, True), (target, False)])

    run(test())
