"""Early starts: while a model drains, the process of the one that it makes room for may begin with what needs no GPU.

An engine that can do so (`ModelSpec.early`) is started up to a gate, and goes on when its model's claim is decided:

    stopped ──victim drains──> (waits) ──claim decided──> starting ──unit active──> ready
       ^                          │ nobody waits for it any more, unload, configuration
       └────── unit inactive ── (leaves)

To the books nothing has happened before the gate opens: the model rests, holds no GPU, and its claim stands in line as
it did. So budgets, turns and the order of starts know nothing of this. What is different: when it is started its
process is there already; while that leaves, the model cannot be started; and how long its unit has been starting says
nothing about its load, since the wait at the gate is in it.
"""

import enum


class Early(enum.Enum):
    """What the process of a model does that has not been started yet."""

    NO = enum.auto()
    """There is none."""
    WAITS = enum.auto()
    """It waits at the gate, or is on its way there."""
    LEAVES = enum.auto()
    """It was told to stop, or stops, and may not be gone yet."""
