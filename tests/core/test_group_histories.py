"""Random histories of models in groups: what holds of all histories holds of theirs, and more of a quiet world's."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from swapper.core.events import ActiveState, ConfigApplied, RequestOver
from swapper.core.model import Demand, Gpu, ModelSpec, Policy, Turns
from tests.core.test_properties import NAMES, NEVER, PHASES, Histories, models

ZERO, ONE, APART, ELSE = 0, 1, -1, -2
LAYOUTS: list[dict[str, tuple[str, dict[int, int]]]] = [
    # Two that are one beside two that each fit with one of them, on a GPU that packs.
    {"a": ("x", {ZERO: 30}), "b": ("x", {ZERO: 40}), "c": ("", {ZERO: 50}), "d": ("", {ZERO: 100})},
    # Two that are one on two GPUs, and one that wants each of them.
    {"a": ("x", {ZERO: 100}), "b": ("x", {ONE: 100}), "c": ("", {ZERO: 100}), "d": ("", {ONE: 100})},
    # Two companies in each other's way on two GPUs.
    {"a": ("x", {ZERO: 60}), "b": ("x", {ONE: 60}), "c": ("y", {ZERO: 60}), "d": ("y", {ONE: 60})},
    # Three that are one, without a GPU, and one that is never with one of them.
    {"a": ("x", {}), "b": ("x", {}), "c": ("x", {APART: 100}), "d": ("", {APART: 100})},
    # Never together: on different GPUs, on none, and in two groups at once.
    {"a": ("", {ZERO: 100, APART: 100}), "b": ("", {ONE: 100, APART: 100}), "c": ("", {APART: 100, ELSE: 100}),
     "d": ("", {ELSE: 100})},
    # A company one of which is never with a third, and the other one shares a GPU with a fourth.
    {"a": ("x", {ZERO: 30, APART: 100}), "b": ("x", {ONE: 50}), "c": ("", {APART: 100}), "d": ("", {ONE: 60})},
]  # fmt: skip


@st.composite
def grouped(draw: st.DrawFn) -> ConfigApplied:
    """One of the layouts, with this and that beside."""
    models = tuple(
        ModelSpec(
            name,
            tuple(Demand(place, per_cent * 10_000) for place, per_cent in places.items()),
            together=together,
            pinned=draw(st.sampled_from([False] * 7 + [True])),
            ttl=draw(st.sampled_from([None, 5.0, 20.0])),
            load_timeout=50.0,
            drain_timeout=30.0,
            concurrency=draw(st.sampled_from([None, 1])),
            queue_timeout=draw(st.sampled_from([None, None, 45.0])),
            priority=draw(st.sampled_from([0, 0, 1])),
            park=draw(st.booleans()),
        )
        for name, (together, places) in draw(st.sampled_from(LAYOUTS)).items()
    )
    policy = draw(st.sampled_from([Policy.PACK, Policy.PACK, Policy.EXCLUSIVE]))
    turns = draw(st.sampled_from([Turns(), Turns(20.0, 0.5), Turns(0.0, 1.0)]))
    memory = draw(st.sampled_from([0, 0, 20]))
    return ConfigApplied(models, (Gpu(ZERO, policy), Gpu(ONE, policy), *NEVER), turns, memory)


class GroupHistories(Histories):
    """The same world, where models are in groups from the beginning."""

    @initialize(config=grouped())
    def groups(self, config: ConfigApplied) -> None:
        assert [spec.name for spec in config.models] == list(NAMES)
        self.feed(config)

    @precondition(lambda self: self.jobs)
    @rule()
    def systemd_obeys(self) -> None:
        """More often than it is disturbed, or hardly a company would ever be complete."""
        for _ in NAMES:
            for name in sorted(self.jobs):
                self.obey(name)

    @precondition(lambda self: self.leased)
    @rule()
    def answers_end(self) -> None:
        for request in sorted(self.leased):
            del self.leased[request]
            self.feed(RequestOver(request))

    @rule(name=models)
    def somebody_asks(self, name: str) -> None:
        self.request(name, light=False, priority=0)

    @rule(name=models, state=st.sampled_from([ActiveState.INACTIVE, ActiveState.ACTIVATING, ActiveState.ACTIVE]))
    def somebody_interferes(self, name: str, state: ActiveState) -> None:
        """As an administrator does, and nothing worse."""
        self.report(name, state)

GroupHistories.TestCase.settings = settings(max_examples=100, stateful_step_count=60, deadline=None, phases=PHASES)
TestGroupHistories = GroupHistories.TestCase
