"""Random histories of engines that start early: what holds of all histories holds where gates are opened often."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from swapper.core.events import ActiveState, ConfigApplied, RequestOver
from swapper.core.model import Demand, Gpu, ModelSpec, Policy, Turns
from tests.core.test_properties import NAMES, NEVER, PHASES, Histories, models

LAYOUTS: list[dict[str, tuple[str, dict[int, int]]]] = [
    # All want one GPU.
    {"a": ("", {0: 100}), "b": ("", {0: 100}), "c": ("", {0: 100}), "d": ("", {0: 100})},
    # Two that fit together, one that does not, and one that wants another GPU beside.
    {"a": ("", {0: 30}), "b": ("", {0: 40}), "c": ("", {0: 80}), "d": ("", {0: 50, 1: 100})},
    # Two that are one beside two that want their place.
    {"a": ("x", {0: 50}), "b": ("x", {0: 50}), "c": ("", {0: 100}), "d": ("", {0: 60, -1: 100})},
]


@st.composite
def early(draw: st.DrawFn) -> ConfigApplied:
    """One of the layouts, with this and that beside."""
    chosen = tuple(
        ModelSpec(
            name,
            tuple(Demand(place, per_cent * 10_000) for place, per_cent in places.items()),
            together=together,
            load_timeout=50.0,
            drain_timeout=draw(st.sampled_from([30.0, 300.0])),
            queue_timeout=draw(st.sampled_from([None, None, 45.0])),
            priority=draw(st.sampled_from([0, 0, 1])),
            park=draw(st.sampled_from([False, False, True])),
            early=draw(st.sampled_from([True, True, True, False])),
        )
        for name, (together, places) in draw(st.sampled_from(LAYOUTS)).items()
    )
    policy, memory = draw(st.sampled_from([Policy.PACK, Policy.EXCLUSIVE])), draw(st.sampled_from([0, 20]))
    return ConfigApplied(chosen, (Gpu(0, policy), Gpu(1, policy), *NEVER), Turns(0.0, 1.0), memory)


class EarlyHistories(Histories):
    """The same world, where most models can start early and busy ones make room often."""

    seen = 0

    @initialize(config=early())
    def configured(self, config: ConfigApplied) -> None:
        assert [spec.name for spec in config.models] == list(NAMES)
        self.feed(config)

    @precondition(lambda self: self.jobs)
    @rule()
    def systemd_obeys(self) -> None:
        for _ in NAMES:
            for name in sorted(self.jobs):
                self.obey(name)

    @rule(one=models, other=models)
    def somebody_wants_the_place_of_a_busy_one(self, one: str, other: str) -> None:
        self.somebody_asks(one)
        self.systemd_obeys()
        self.somebody_asks(other)

    @precondition(lambda self: self.leased)
    @rule()
    def answers_end(self) -> None:
        for request in sorted(self.leased):
            del self.leased[request]
            self.feed(RequestOver(request))

    @rule(one=models, other=models)
    def somebody_gets_the_place_of_a_busy_one(self, one: str, other: str) -> None:
        self.somebody_wants_the_place_of_a_busy_one(one, other)
        self.systemd_obeys()
        self.answers_end()
        self.systemd_obeys()

    @rule(name=models)
    def somebody_asks(self, name: str) -> None:
        self.request(name, light=False, priority=0)

    @rule(name=models, state=st.sampled_from([ActiveState.INACTIVE, ActiveState.ACTIVATING, ActiveState.ACTIVE]))
    def somebody_interferes(self, name: str, state: ActiveState) -> None:
        """As an administrator does, and nothing worse."""
        self.report(name, state)

    def teardown(self) -> None:
        """Left alone with an obedient systemd, everything comes to rest."""
        super().teardown()
        EarlyHistories.seen += self.opened


EarlyHistories.TestCase.settings = settings(max_examples=100, stateful_step_count=60, deadline=None, phases=PHASES)
TestEarlyHistories = EarlyHistories.TestCase


def test_there_was_something_to_see() -> None:
    """Gates were opened; else the histories above have said nothing of it."""
    assert EarlyHistories.seen > 0
