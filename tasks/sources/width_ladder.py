"""The same class at several widths, and at which of them it makes a shape of decision region right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean

from tasks.types import Condition, Row, Source, Summary, Task, TaskSpec


class WidthLadder(Task):
    """One condition for each width; `shape` is the metric, on the split `where`, that is 1 where the shape is right.

    The score is the mean over the widths that are `wide` enough for the shape. Narrower ones are controls, which a
    theorem keeps at 0.
    """

    def __init__(self, spec: TaskSpec, wide: Sequence[int], where: str, shape: str) -> None:
        super().__init__(spec)
        self.wide, self.where, self.shape = wide, where, shape

    def summarize(self, rows: Mapping[str, Row]) -> Summary:
        """Indices: the shape and the accuracy at every width, and the smallest `width` at which the shape is right.

        `iid`, `ood` and the gate are those of the wide ones.
        """
        right = {name: row.scores[self.where][self.shape] for name, row in rows.items()}
        score = fmean(right[named(width)] for width in self.wide)
        enough = [float(name.removeprefix(PREFIX)) for name, value in right.items() if value == 1]
        return replace(
            super().summarize({named(width): rows[named(width)] for width in self.wide}),
            scores={"score": score, "score_unclipped": score},
            indices={
                **({"width": min(enough)} if enough else {}),
                **{f"{self.shape}_{name}": value for name, value in right.items()},
                **{f"accuracy_{name}": row.scores["iid"]["accuracy"] for name, row in rows.items()},
            },
        )


PREFIX = "w-"


def named(width: int) -> str:
    """The name of a condition."""
    return f"{PREFIX}{width}"


def width_conditions(widths: Sequence[int]) -> tuple[Condition, ...]:
    """One condition for each width, the narrowest first."""
    return tuple(
        Condition(named(width), f"hidden layers of {width} units", {"width": width}, hparams={"width": width})
        for width in sorted(widths)
    )


BEISE = Source(
    key="beise2018decision",
    authors="Hans-Peter Beise, Steve Dias Da Cruz, Udo Schröder",
    title="On decision regions of narrow deep neural networks",
    venue="arXiv:1807.01194",
    year=2018,
    url="https://arxiv.org/abs/1807.01194",
)
HANIN = Source(
    key="hanin2017approximating",
    authors="Boris Hanin, Mark Sellke",
    title="Approximating Continuous Functions by ReLU Nets of Minimal Width",
    venue="arXiv:1710.11278",
    year=2017,
    url="https://arxiv.org/abs/1710.11278",
)
NGUYEN = Source(
    key="nguyen2018wide",
    authors="Quynh Nguyen, Mahesh Chandra Mukkamala, Matthias Hein",
    title="Neural Networks Should Be Wide Enough to Learn Disconnected Decision Regions",
    venue="ICML",
    year=2018,
    url="https://proceedings.mlr.press/v80/nguyen18b.html",
)
PARK = Source(
    key="park2021minimum",
    authors="Sejun Park, Chulhee Yun, Jaeho Lee, Jinwoo Shin",
    title="Minimum Width for Universal Approximation",
    venue="ICLR",
    year=2021,
    url="https://openreview.net/forum?id=O-XJwyoIF-k",
)
DUPONT = Source(
    key="dupont2019augmented",
    authors="Emilien Dupont, Arnaud Doucet, Yee Whye Teh",
    title="Augmented Neural ODEs",
    venue="NeurIPS",
    year=2019,
    url="https://arxiv.org/abs/1904.01681",
)
OLAH = Source(
    key="olah2014topology",
    authors="Christopher Olah",
    title="Neural Networks, Manifolds, and Topology",
    venue="colah's blog",
    year=2014,
    url="https://colah.github.io/posts/2014-03-NN-Manifolds-Topology/",
)
