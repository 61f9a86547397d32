"""Workload files: what they say, and what is told of those that are wrong."""

from dataclasses import replace
from pathlib import Path
from textwrap import dedent

import pytest

from swapper.config import load
from swapper.core.model import Demand, Gpu, ModelSpec, Policy
from swapper.simulate import files, synthetic
from swapper.simulate.policies import POLICIES
from swapper.simulate.workload import Ask, Model, Workload, WorkloadError
from tests.simulate.scripts import run, waits

HEAD = '{"models": {"a": {"load": 2}}}\n'


def parse(text: str) -> Workload:
    return files.parse(dedent(text).splitlines(), "w.jsonl")


def test_all_that_can_be_said() -> None:
    head = """\
        {"models": {"a": {"load": 12, "stop": 1.5, "gpu": [0, 1], "gpu_memory": "30%", "concurrency": 4, "queue": 0,
                          "queue_timeout": 60, "ttl": 5, "pinned": true, "load_timeout": 90, "drain_timeout": 30},
                    "b": {"load": 0, "gpu": []}}, "gpus": {"0": "pack"}}
    """
    workload = parse("# a comment\n\n" + " ".join(head.split()) + """
        {"at": 3, "model": "b", "seconds": 0}
        {"client": "x", "model": "a", "seconds": 2, "think": 0.5, "times": 2}
        {"at": 1, "model": "a", "seconds": 1}
        {"client": "y", "at": 4, "model": "b", "seconds": 1}
        {"client": "x", "model": "b", "seconds": 3}
    """)
    spec = ModelSpec("a", (Demand(0, 300_000), Demand(1, 300_000)), pinned=True, ttl=5.0, load_timeout=90.0,
                     drain_timeout=30.0, concurrency=4, queue=0, queue_timeout=60.0)  # fmt: skip
    assert workload.models == (Model(spec, 12.0, 1.5), Model(ModelSpec("b", ()), 0.0, 0.0))
    assert workload.gpus == (Gpu(0, Policy.PACK),)
    assert workload.gpu_indexes == (0, 1)
    assert workload.asks == (Ask(1.0, "a", 1.0), Ask(3.0, "b", 0.0))
    thinks = Ask(0.0, "a", 2.0, 0.5)
    assert workload.clients == ((thinks, thinks, Ask(0.0, "b", 3.0)), (Ask(4.0, "b", 1.0),))
    assert files.parse(files.write(workload), "w.jsonl") == workload


GROUPED = """\
    {"models": {"a": {"load": 2, "gpu": 0}, "b": {"load": 2, "gpu": 1}, "c": {"load": 2, "gpu": []}}, "groups": GROUPS}
    {"at": 0, "model": "a", "seconds": 3}
    {"at": 0, "model": "b", "seconds": 3}
    {"at": 0, "model": "c", "seconds": 3}
"""


def test_groups_are_what_they_are_in_the_configuration() -> None:
    groups = '{"x": {"never_together": ["a", "b"]}, "y": {"always_together": ["a", "c"]}}'
    workload = parse(GROUPED.replace("GROUPS", groups))
    assert [model.spec.demands for model in workload.models] == [(Demand(0), Demand(-1)), (Demand(1), Demand(-1)), ()]
    assert [model.spec.together for model in workload.models] == ["y", "", "y"]
    assert workload.gpus == (Gpu(-1, group="x"),)
    assert workload.gpu_indexes == (0, 1), "what is no GPU is not counted as one"
    assert files.parse(files.write(workload), "w.jsonl") == workload
    for policy in POLICIES:
        tally = run(policy, workload)
        assert sorted(tally.gpus) == [0, 1]
        assert waits(tally, "a") == [2.0]
        # The others know of no company: c comes and goes as it likes. Ours keeps a's place as long as c answers.
        assert waits(tally, "b") == [9.0 if policy == "ours" else 7.0]


@pytest.mark.parametrize(
    "groups", ["3", '{"x": 3}', '{"x": {"newer": ["a", "b"]}}', '{"x": {"never_together": ["a", "z"]}}',
               '{"x": {"never_together": ["a"]}}', '{"x": {"always_together": ["a", "a"]}}']
)  # fmt: skip
def test_groups_that_are_wrong(groups: str) -> None:
    with pytest.raises(WorkloadError, match="'groups' has to name models by group and rule"):
        parse(GROUPED.replace("GROUPS", groups))


@pytest.mark.parametrize("name", ["alternating", "bursts", "greedy", "poisson"])
def test_what_is_written_is_read_again(name: str) -> None:
    workload = synthetic.make(name, 7)
    again = files.parse(files.write(workload), name)
    assert again == replace(workload, asks=tuple(workload.asks))


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("", "w.jsonl: there is nothing in it", "Begin with"),
        (HEAD, "w.jsonl: it has no requests", "Add lines"),
        ("oops", "w.jsonl:1: this is not JSON", "object of its own"),
        ("# fine\n[1]", "w.jsonl:2: this is not a JSON object", "Such as"),
        ('{"at": 1}', "w.jsonl:1: the first line does not describe models", "Begin with"),
        ('{"models": {}}', "w.jsonl:1: the first line does not describe models", "Begin with"),
        ('{"models": {"a": {"load": 1}}, "gpu": {}}', "w.jsonl:1: the first line cannot have 'gpu'", "groups, models"),
        ('{"models": {"a": {"load": 1}}, "gpus": {"0": "share"}}', "w.jsonl:1: 'gpus' has to name the policy", "pack"),
        ('{"models": {"a": {"load": 1}}, "gpus": {"0": []}}', "w.jsonl:1: 'gpus' has to name the policy", "pack"),
        ('{"models": {"a": 3}}', "w.jsonl:1: model 'a' is not described by an object", "Such as"),
        ('{"models": {"a": {}}}', "w.jsonl:1: model 'a' lacks 'load'", "how many seconds"),
        ('{"models": {"a": {"load": "x"}}}', "w.jsonl:1: 'load' has to be a number of seconds", '"load": 1.5'),
        ('{"models": {"a": {"load": -1}}}', "w.jsonl:1: 'load' has to be a number of seconds", '"load": 1.5'),
        ('{"models": {"a": {"load": NaN}}}', "w.jsonl:1: 'load' has to be a number of seconds", '"load": 1.5'),
        ('{"models": {"a": {"load": 1, "size": 3}}}', "w.jsonl:1: model 'a' cannot have 'size'", "concurrency"),
        ('{"models": {"a": {"load": 1, "pinned": 3}}}', "w.jsonl:1: model 'a': 'pinned' has to be true or", "Leave"),
        ('{"models": {"a": {"load": 1, "gpu": "0"}}}', "w.jsonl:1: model 'a': 'gpu' has to be an index", '"gpu": 0'),
        ('{"models": {"a": {"load": 1, "gpu": [0, 0]}}}', "w.jsonl:1: model 'a': 'gpu' has to be an index", '"gpu"'),
        ('{"models": {"a": {"load": 1, "gpu_memory": "3GiB"}}}', "w.jsonl:1: model 'a': 'gpu_memory' has to", "30%"),
        ('{"models": {"a": {"load": 1, "gpu_memory": 30}}}', "w.jsonl:1: model 'a': 'gpu_memory' has to", "30%"),
        ('{"models": {"a": {"load": 1, "concurrency": 0}}}', "w.jsonl:1: 'concurrency' has to be a whole", ": 2"),
        (HEAD + '{"at": 1, "model": "b", "seconds": 1}', "w.jsonl:2: there is no model 'b'", "describes a."),
        (HEAD + '{"at": 1, "model": ["a"], "seconds": 1}', "w.jsonl:2: there is no model ['a']", "describes a."),
        (HEAD + '{"model": "a", "seconds": 1}', "w.jsonl:2: 'at' has to be a number of seconds, and is missing", "at"),
        (HEAD + '{"at": 1, "model": "a"}', "w.jsonl:2: 'seconds' has to be a number of seconds, and is", "seconds"),
        (HEAD + '{"at": 1, "model": "a", "seconds": true}', "w.jsonl:2: 'seconds' has to be a number", "seconds"),
        (HEAD + '{"at": 1, "model": "a", "seconds": 1, "think": 1}', "w.jsonl:2: a request cannot have 'think'", "at"),
        (HEAD + '{"client": 3, "model": "a", "seconds": 1}', "w.jsonl:2: 'client' has to be a name", "alice"),
        (HEAD + '{"client": "x", "model": "a", "seconds": 1, "times": 0}', "w.jsonl:2: 'times' has to be", "times"),
    ],
)
def test_the_first_mistake_is_told_with_its_line(text: str, message: str, hint: str) -> None:
    with pytest.raises(WorkloadError) as caught:
        parse(text)
    assert str(caught.value).startswith(message)
    assert hint in caught.value.hint
    assert caught.value.code == "workload_wrong"


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(WorkloadError, match="No such file") as caught:
        files.read(tmp_path / "none")
    assert caught.value.code == "workload_unreadable"
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(WorkloadError, match="not text"):
        files.read(tmp_path / "binary")


def test_under_another_configuration(tmp_path: Path) -> None:
    """GPUs, shares and limits are those configured; times, and models that are not configured, stay."""
    (tmp_path / "swapper.yaml").write_text(dedent("""\
        gpus: {1: {policy: pack}}
        models:
          a: {engine: llama, model: a.gguf, gpu: 1, gpu_memory: 40%, concurrency: 3}
          other: {engine: llama, model: o.gguf}
    """))
    workload = parse("""\
        {"models": {"a": {"load": 2, "stop": 1}, "b": {"load": 3}}}
        {"at": 0, "model": "a", "seconds": 1}
    """).under(load(tmp_path / "swapper.yaml"))
    assert workload.models[0] == Model(ModelSpec("a", (Demand(1, 400_000),), concurrency=3), 2.0, 1.0)
    assert workload.models[1] == Model(ModelSpec("b"), 3.0, 0.0)
    assert {gpu.index: gpu.policy for gpu in workload.gpus} == {0: Policy.EXCLUSIVE, 1: Policy.PACK}
    assert workload.notes == ("not configured, so taken as the workload describes them: b",)


def test_made_up_workloads_depend_on_the_seed_alone() -> None:
    for name in ("alternating", "bursts", "greedy", "poisson"):
        one, same, other = (list(files.write(synthetic.make(name, seed))) for seed in (1, 1, 2))
        assert one == same
        assert one != other
    poisson = synthetic.make("poisson", 1)
    assert list(poisson.asks) == list(poisson.asks)


def test_a_million_requests_for_a_thousand_models() -> None:
    scale = synthetic.make("scale", 1)
    assert (len(scale.models), len(scale.gpu_indexes)) == (1000, 64)
    popular = [0, 0]
    for ask, _ in zip(scale.asks, range(20_000), strict=False):
        for position, model in enumerate(("model-1", "model-10")):
            popular[position] += ask.model == model
    assert 8 < popular[0] / popular[1] < 12.5  # Zipf: ten times
    assert scale.asks.count == 1_000_000  # type: ignore[attr-defined]


def test_starts_that_take_longer_or_shorter() -> None:
    head = '{"models": {"a": {"load": [2, 5, 3], "stop": [1], "lag": 0.1}}}'
    workload = parse(f'{head}\n{{"at": 0, "model": "a", "seconds": 1}}')
    assert workload.models == (Model(ModelSpec("a"), 3.0, 1.0, (2.0, 5.0, 3.0), (1.0,), 0.1),)
    assert [workload.models[0].load_of(start) for start in range(1, 6)] == [2.0, 5.0, 3.0, 2.0, 5.0]
    assert files.parse(files.write(workload), "w.jsonl") == workload


def test_engines_that_get_slower_with_each_request() -> None:
    workload = parse('{"models": {"a": {"load": 2, "speeds": [1, 0.75]}}}\n{"at": 0, "model": "a", "seconds": 1}')
    assert workload.models[0].speeds == (1.0, 0.75)
    assert files.parse(files.write(workload), "w.jsonl") == workload


@pytest.mark.parametrize("speeds", ["1", "[0]", '["1"]', "[1, -1]", "null"])
def test_speeds_that_there_are_not(speeds: str) -> None:
    with pytest.raises(WorkloadError, match="'speeds' has to be a list"):
        parse(f'{{"models": {{"a": {{"load": 1, "speeds": {speeds}}}}}}}\n{{"at": 0, "model": "a", "seconds": 1}}')


@pytest.mark.parametrize("load", ["[]", "[1, -1]", '["1"]', "[[1]]", "null"])
def test_starts_that_take_no_time_that_there_is(load: str) -> None:
    with pytest.raises(WorkloadError, match="'load' has to be a number of seconds"):
        parse(f'{{"models": {{"a": {{"load": {load}}}}}}}\n{{"at": 0, "model": "a", "seconds": 1}}')
