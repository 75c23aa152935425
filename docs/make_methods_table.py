"""Makes methods.md of what `tests` hold every method to.

Run `python -m docs.make_methods_table` after changing it.
"""

import math
from pathlib import Path

from keras_mtl.methods import GradientSpec
from tests.aggregators.methods import METHODS
from tests.aggregators.methods import Entry
from tests.weightings import methods as weighting_methods
from tests.weightings.methods import WEIGHTINGS

PATH = Path(__file__).resolve().with_name("methods.md")
TEXT = """\
# The methods, side by side

First the aggregators, then [the weightings](#the-weightings), then what both
look like.

Made by `python -m docs.make_methods_table` of the table that
`tests/aggregators/test_every_aggregator.py` holds every method to, on a zoo of
gradients, ordinary and degenerate: a promise that fails there is not in here,
and one that goes less far than it could fails too. T is the number of tasks, n
that of the weights that they share.

## What they promise

- **Never conflicts**: the update has no obtuse angle to any task gradient.
- **Order**: the order of the tasks does not change the update.
- **Scale**: all gradients times s give the update times s.
- **At rest where stationary**: the update is zero where a combination of all
  task gradients with positive weights vanishes.

{promises}

{notes}

## What they need and do

- **Looks at**: nothing, the inner products of the task gradients (Gram), the
  losses, or the gradients themselves, coordinate by coordinate (rows).
- **Remembers**: numbers kept from step to step, of weights or of gradients.
- **Work**: beside T backward passes, the T x T inner products and one weighted
  sum. Measured in [benchmarks](../benchmarks/README.md).
- **Zero**: what a task with a zero gradient does to the direction of the
  update. (Tasks without labels in a batch are another matter: they take no
  part, but for Krum, TrimmedMean and the means over T, which count zeros.)
- **Duplicate**: how often a gradient that two tasks have counts in the
  direction of the update.
- **Opposed**: what is left along the line of two opposed gradients, one longer
  than the other, where all others are orthogonal to it.

{behaviours}

## The weightings

They act on the losses before gradients are taken, and compose with every
aggregator. `tests/weightings/test_every_weighting.py` holds them to this table.

- **Looks at**: nothing, the losses of the batch, these once more after the
  step, or the norms of the task gradients at one layer. Under `tf.distribute`
  those that look at nothing can be used.
- **Remembers**: numbers kept from step to step; trained ones belong to the
  model's optimizer.
- **Costs**: beside the plain step, with one backward pass for the sum. The
  backward passes are from the losses down to that layer; with an aggregator
  they are there anyway.
- **Weights add up to**: what the learning rate has to suit.
- **Defaults**: as published, but for those marked as ours.

{weightings}

## What they look like

Two conflicting gradients and the update that each method makes of them; in the
grey cone no task is hurt. Of methods with memory the dots are earlier steps, of
random ones other draws ([examples/gallery](../examples/gallery/README.md)).

![Updates](../examples/gallery/gallery-conflicting.png)

The toy problem of the CAGrad and Nash-MTL papers, from its five starts, for all
aggregators and weightings ([examples/toy](../examples/toy/README.md)).

![Paths](../examples/toy/toy-nash_mtl.png)
"""


PROMISES = {
    "non_conflicting": "Never conflicts",
    "permutation": "Order",
    "scale": "Scale",
    "stationary": "At rest where stationary",
}
BEHAVIOURS = {
    "looks_at": "Looks at",
    "weights": "Weights",
    "work": "Work",
    "zero": "Zero",
    "duplicate": "Duplicate",
    "opposed": "Opposed",
}


def table(header: list[str], lines: list[list[str]]) -> str:
    rule = ["---"] * len(header)
    return "\n".join(f"| {' | '.join(c)} |" for c in [header, rule, *lines])


def linked(name: str, paper: str) -> str:
    return f"[`{name}`]({paper})" if paper else f"`{name}`"


def remembers(entry: Entry) -> str:
    """The largest of what it makes for a variable of n numbers."""
    num_tasks, size = 5, 1009
    method = entry.make(num_tasks)
    seeds = len(method.variables)
    names = tuple(f"task_{t}" for t in range(num_tasks))
    method.build(GradientSpec(num_tasks, (), ((size,),), names))
    largest = max(
        (math.prod(v.shape) for v in method.variables[seeds:]), default=0
    )
    names = {
        num_tasks * size: "T x n",
        size: "n",
        num_tasks**2: "T x T",
        num_tasks: "T",
        0: "a seed" if seeds else "nothing",
    }
    return names[largest]


def weightings_table() -> str:
    lines = [
        [
            linked(name, entry.paper),
            weighting_methods.looks_at(entry),
            weighting_methods.remembers(entry),
            weighting_methods.costs(entry),
            entry.total + (", of any sign" if entry.negative else ""),
            weighting_methods.defaults(entry),
        ]
        for name, entry in WEIGHTINGS.items()
    ]
    return table(
        [
            "method",
            "Looks at",
            "Remembers",
            "Costs",
            "Weights add up to",
            "Defaults",
        ],
        lines,
    )


def text() -> str:
    """What docs/methods.md should be."""
    promises, behaviours, notes = [], [], []
    for name, entry in METHODS.items():
        mark = ""
        if entry.note:
            if entry.note not in notes:
                notes.append(entry.note)
            mark = f"<sup>{notes.index(entry.note) + 1}</sup>"
        values = [getattr(entry, field) for field in PROMISES]
        promises.append([linked(name, entry.paper) + mark, *values])
        values = [getattr(entry, field) for field in BEHAVIOURS]
        values.insert(1, remembers(entry))
        behaviours.append([f"`{name}`", *values])
    header = ["method", *BEHAVIOURS.values()]
    header.insert(2, "Remembers")
    return TEXT.format(
        promises=table(["method", *PROMISES.values()], promises),
        notes="\n".join(f"{n}. {note}" for n, note in enumerate(notes, 1)),
        behaviours=table(header, behaviours),
        weightings=weightings_table(),
    )


def main() -> None:
    PATH.write_text(text(), encoding="utf-8")
    print(PATH)


if __name__ == "__main__":
    main()
