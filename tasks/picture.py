"""A picture of a task's data as SVG text: `python -m tasks.picture shift/colored-digits > digits.svg`.

One panel or row per split, training first. Images become a grid, signals lines by class, one-dimensional inputs a
scatter against the target, other vectors a scatter on two informative directions, tokens a table of examples.

The same task and draw give the same bytes. The SVG has no background, no script, no style sheet and no reference
outside itself (image rows are `data:` PNGs), ids that are its own, and text in `currentColor`, so that it can be set
into a light or a dark page.
"""

from __future__ import annotations

import argparse
import io
import math
import re
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib.style
import numpy as np
import torch
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tasks.metrics import IGNORED
from tasks.registry import UnknownName, load
from tasks.seeds import Draw
from tasks.types import Batch, Role, Split, Task, TaskSpec

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[Any]

SPLITS = 6
POINTS = 200
IMAGES = 12
EXAMPLES = 4
TOKENS = 28
WIDTH_INCHES = 7.0

# Mid-tones that stand out on white and on black; the order is that of classes.
COLOURS = ("#3f88c5", "#e4672e", "#2f9e77", "#b565c9", "#c9a227", "#d1495b", "#5f9ea0", "#8d7b68", "#7a9e3a", "#7f8fa9")
ROLE_COLOURS: dict[Role, str] = {
    "train": COLOURS[0],
    "val": COLOURS[2],
    "iid": COLOURS[2],
    "ood": COLOURS[1],
    "probe": COLOURS[3],
}
VALUES = LinearSegmentedColormap.from_list("values", [COLOURS[0], "#999999", COLOURS[1]])
INK = "#010203"  # replaced by currentColor: matplotlib has no name for it

STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "font.size": 8,
    "font.sans-serif": ["DejaVu Sans"],
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 8,
    "axes.titlelocation": "left",
}

SVG = "http://www.w3.org/2000/svg"
XLINK = "http://www.w3.org/1999/xlink"


def picture(task: Task, draw: Draw) -> str:
    """The data of a task's first condition in one world, as an SVG element.

    Raises:
        KeyError: for an input kind that nothing here draws.
    """
    shown = shown_splits(task.spec)
    condition = task.spec.conditions[0].name
    batches = {split.name: task.sample(condition, split, draw) for split in shown}
    with matplotlib.style.context(["default", STYLE | {"svg.hashsalt": task.spec.id}]):
        figure = PAINTERS[task.spec.problem.input_kind](task.spec, shown, batches)
        return tidy(render(figure), task.spec)


def shown_splits(spec: TaskSpec, at_most: int = SPLITS) -> list[Split]:
    """Training, in-distribution test, and as many shifted splits as fit: scored ones first, spread over the ladder."""
    seen = [*spec.with_role("train")[:2], *spec.with_role("iid")[:1]]
    scored = spread(spec.with_role("ood"), at_most - len(seen))
    probes = spread(spec.with_role("probe"), at_most - len(seen) - len(scored))
    return seen + sorted(scored + probes, key=lambda s: (s.severity or 0.0, spec.splits.index(s)))


def spread(splits: Sequence[Split], at_most: int) -> list[Split]:
    """Up to so many of the splits, evenly over their order, the ends among them."""
    places = np.linspace(0, len(splits) - 1, min(at_most, len(splits))).round().astype(int)
    return [splits[place] for place in places]


def render(figure: Figure) -> bytes:
    """The figure as matplotlib writes it, without a date."""
    file = io.BytesIO()
    FigureCanvasSVG(figure)
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None}, bbox_inches="tight", pad_inches=0.05)
    return file.getvalue()


def tidy(svg: bytes, spec: TaskSpec) -> str:
    """An element to set into a page: no prologue, metadata, style sheet or idle id; a title; ink in currentColor."""
    for prefix, uri in (("", SVG), ("xlink", XLINK)):
        ElementTree.register_namespace(prefix, uri)
    root = ElementTree.fromstring(svg)
    used = set(re.findall(rb"#([\w-]+)", svg))
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag == f"{{{SVG}}}metadata" or (child.tag == f"{{{SVG}}}defs" and is_style(child)):
                parent.remove(child)
        if parent.get("id", "").encode() not in used:
            parent.attrib.pop("id", None)
        if parent.tag == f"{{{SVG}}}use":
            parent.attrib.update({axis: f"{float(parent.attrib[axis]):.1f}" for axis in ("x", "y")})
    root.set("style", "stroke-linejoin: round; stroke-linecap: butt")
    root.set("role", "img")
    title = ElementTree.Element(f"{{{SVG}}}title")
    title.text = f"Examples of {spec.id}: {spec.summary}"
    root.insert(0, title)
    return ElementTree.tostring(root, encoding="unicode").replace(INK, "currentColor") + "\n"


def is_style(element: ElementTree.Element) -> bool:
    """Whether a `defs` holds nothing but a style sheet."""
    return len(element) > 0 and all(child.tag == f"{{{SVG}}}style" for child in element)


def label(spec: TaskSpec, split: Split) -> str:
    """The name of a split, its role unless the name says it, and how far it is shifted."""
    told: list[str] = [] if split.name.startswith(split.role) else [split.role]
    if split.severity is not None:
        one_word = spec.severity_unit and " " not in spec.severity_unit
        told.append(f"{split.severity:g} {spec.severity_unit}" if one_word else f"severity {split.severity:g}")
    return f"{split.name} ({', '.join(told)})" if told else split.name


def classes_of(batch: Batch) -> Array:
    """One class per example (N,); of a label per position, that of the last position that has one."""
    y = batch.y.numpy()
    if y.ndim == 1:
        return y
    last = y.shape[1] - 1 - (y[:, ::-1] != IGNORED).argmax(axis=1)
    return np.take_along_axis(y, last[:, None], axis=1)[:, 0]


# --- images ---------------------------------------------------------------------------------------------------------


def paint_images(spec: TaskSpec, shown: Sequence[Split], batches: dict[str, Batch]) -> Figure:
    """One strip of images per split, classes in order."""
    figure = Figure(figsize=(WIDTH_INCHES, 0.95 * len(shown)), layout="constrained")
    for axes, split in zip(panels(figure, len(shown), 1), shown, strict=True):
        batch = batches[split.name]
        chosen = by_class(batch, IMAGES)
        strip = np.concatenate([framed(colours_of(image)) for image in batch.x[chosen].numpy()], axis=1)
        axes.imshow(strip, interpolation="none")
        axes.set_title(label(spec, split))
        axes.axis("off")
        for place, index in enumerate(chosen):
            width = strip.shape[1] / len(chosen)
            axes.text((place + 0.5) * width, strip.shape[0], target_text(batch, index), ha="center", va="top")
    return figure


def by_class(batch: Batch, count: int) -> list[int]:
    """Indices of `count` examples, the classes in turn, then sorted by class; of values, evenly by size."""
    if batch.y.is_floating_point():
        order = torch.argsort(batch.y[:, 0])
        return [int(order[round(i)]) for i in np.linspace(0, len(order) - 1, min(count, len(order)))]
    classes = classes_of(batch)
    turns = [np.flatnonzero(classes == c) for c in np.unique(classes)]
    taken = [(int(members[turn]), c) for turn in range(count) for c, members in enumerate(turns) if turn < len(members)]
    return [index for index, _ in sorted(taken[:count], key=lambda item: item[1])]


def colours_of(image: Array) -> Array:
    """(C, H, W) in any range to (H, W, 3) in [0, 1]; two channels are red and green, three are red, green, blue."""
    low, high = min(0.0, float(image.min())), max(1.0, float(image.max()))
    scaled = (image - low) / (high - low)
    if len(scaled) == 1:
        return np.repeat(scaled, 3, axis=0).transpose(1, 2, 0)
    if len(scaled) == 2:
        scaled = np.concatenate([scaled, np.zeros_like(scaled[:1])])
    return np.clip(scaled[:3], 0, 1).transpose(1, 2, 0)


def framed(image: Array) -> Array:
    """(H, W, 3) with a transparent margin of one pixel: (H + 2, W + 2, 4)."""
    opaque = np.concatenate([image, np.ones_like(image[..., :1])], axis=2)
    return np.pad(opaque, ((1, 1), (1, 1), (0, 0)))


def target_text(batch: Batch, index: int) -> str:
    """The target of one example in a few characters."""
    y = batch.y[index]
    if y.is_floating_point():
        return f"{float(y[0]):.2g}"
    return str(int(y)) if y.ndim == 0 else " ".join(str(int(v)) for v in y)


# --- signals --------------------------------------------------------------------------------------------------------


def paint_signals(spec: TaskSpec, shown: Sequence[Split], batches: dict[str, Batch]) -> Figure:
    """One row of lines per split: an example of each class beside the next, channels above each other."""
    figure = Figure(figsize=(WIDTH_INCHES, 0.95 * len(shown)), layout="constrained")
    for axes, split in zip(panels(figure, len(shown), 1, share="y"), shown, strict=True):
        batch = batches[split.name]
        count = 10 if spec.problem.output_kind == "classes" else EXAMPLES
        length = batch.x.shape[-1]
        for place, index in enumerate(by_class(batch, count)):
            start = place * length * 1.15
            for channel in batch.x[index].numpy():
                axes.plot(start + np.arange(length), channel, color=COLOURS[place % len(COLOURS)], linewidth=1)
            axes.text(start, 1.0, target_text(batch, index), transform=axes.get_xaxis_transform(), va="top")
        axes.set_title(label(spec, split))
        axes.set_xticks([])
    return figure


# --- vectors --------------------------------------------------------------------------------------------------------


def paint_vectors(spec: TaskSpec, shown: Sequence[Split], batches: dict[str, Batch]) -> Figure:
    """Scatter plots: of the target where there is one input, else of two directions of the input space."""
    if spec.problem.input_shape == (1,):
        return paint_function(spec, shown, batches)
    return paint_plane(spec, shown, batches)


def paint_function(spec: TaskSpec, shown: Sequence[Split], batches: dict[str, Batch]) -> Figure:
    """Input against target, the splits by colour, training on top."""
    figure = Figure(figsize=(WIDTH_INCHES, 3.0), layout="constrained")
    axes = figure.subplots()
    for split in reversed(shown):
        x, y, _ = points(batches[split.name], POINTS)
        colour = ROLE_COLOURS[split.role]
        axes.scatter(x[:, 0], y, s=6, color=colour, linewidths=0, clip_on=False, label=label(spec, split))
    axes.set_xlabel("x")
    axes.set_ylabel("y" if spec.problem.output_kind == "values" else "class")
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1), markerscale=2)
    return figure


def paint_plane(spec: TaskSpec, shown: Sequence[Split], batches: dict[str, Batch]) -> Figure:
    """One panel per split on the same two axes, coloured by class or by value."""
    basis, names = informative_plane(spec, batches)
    across = min(3, len(shown))
    down = math.ceil(len(shown) / across)
    figure = Figure(figsize=(WIDTH_INCHES, 2.3 * down), layout="constrained")
    grid = panels(figure, down, across, share="xy")
    scale = value_scale(batches[shown[0].name])
    for place, (axes, split) in enumerate(zip(grid, shown, strict=False)):
        x, y, classes = points(batches[split.name], POINTS)
        flat = x @ basis
        colours = [COLOURS[c % len(COLOURS)] for c in classes] if classes is not None else VALUES(scale(y))
        axes.scatter(flat[:, 0], flat[:, 1], s=6, c=colours, linewidths=0, clip_on=False)
        axes.set_title(label(spec, split))
        if place + across >= len(shown):
            axes.set_xlabel(names[0])
            axes.tick_params(labelbottom=True)
        if place % across == 0:
            axes.set_ylabel(names[1])
    for axes in grid[len(shown) :]:
        axes.remove()
    return figure


def informative_plane(spec: TaskSpec, batches: dict[str, Batch]) -> tuple[Array, tuple[str, str]]:
    """Two directions (d, 2) that show the most, and their names.

    Of two inputs, the inputs. Of more, the direction that predicts the target in training and the one that predicts
    it in the first shifted split, both by least squares: where there is a shortcut, they differ. Where they do not
    (correlation above .9), the second is the direction of largest spread across the first. Unit: its standard
    deviation in training.
    """
    if spec.problem.input_shape == (2,):
        return np.eye(2), ("first input", "second input")
    train = batches[spec.with_role("train")[0].name]
    shifted = next(batches[s.name] for s in spec.with_role("ood", "probe", "iid") if s.name in batches)
    x = np.concatenate([train.x.numpy(), shifted.x.numpy()]).astype(np.float64)
    first, second = target_direction(train), target_direction(shifted)
    names = ("predicts the target in training", "predicts the target in the shifted split")
    if abs(np.corrcoef(x @ first, x @ second)[0, 1]) > 0.9:
        second, names = spread_across(x, first), ("predicts the target", "largest spread across it")
    basis = np.stack([first, second], axis=1)
    return basis / (train.x.numpy() @ basis).std(0), names


def target_direction(batch: Batch) -> Array:
    """The direction (d,) along which least squares predicts the target; of several outputs, the leading one.

    The ridge is 1e-6 of the mean variance of an input: small enough to find a feature that is a thousand times
    smaller than the others, large enough for inputs that are constant.
    """
    x = batch.x.numpy().astype(np.float64)
    x = x - x.mean(0)
    y = batch.y.numpy().astype(np.float64) if batch.y.is_floating_point() else np.eye(int(batch.y.max()) + 1)[batch.y]
    y = y - y.mean(0)
    gram = x.T @ x
    ridge = 1e-6 * np.trace(gram) / len(gram)
    weights = np.linalg.solve(gram + ridge * np.eye(len(gram)), x.T @ y)  # (d, C)
    leading: Array = np.linalg.svd(weights, full_matrices=False)[0][:, 0]
    return leading if (x @ leading) @ y[:, -1] >= 0 else -leading


def spread_across(x: Array, direction: Array) -> Array:
    """The first principal component (d,) of x (N, d) without its part along a direction; its largest entry positive."""
    unit = direction / np.linalg.norm(direction)
    centred = x - x.mean(0)
    component: Array = np.linalg.svd(centred - np.outer(centred @ unit, unit), full_matrices=False)[2][0]
    return component if component[np.abs(component).argmax()] > 0 else -component


def points(batch: Batch, count: int) -> tuple[Array, Array, Array | None]:
    """Up to `count` evenly chosen examples: x (n, d), y (n,), and their classes (n,) where there are classes."""
    chosen = np.linspace(0, len(batch) - 1, min(count, len(batch))).round().astype(int)
    x = batch.x.numpy()[chosen]
    if batch.y.is_floating_point():
        return x, batch.y.numpy()[chosen, 0], None
    classes = classes_of(batch)[chosen]
    return x, classes, classes


def value_scale(batch: Batch) -> Callable[[Array], Array]:
    """From target values to [0, 1], one scale for every panel: the middle 96 % of the training values."""
    low, high = np.quantile(batch.y.float().numpy(), [0.02, 0.98])
    return lambda values: np.clip((values - low) / max(high - low, 1e-12), 0, 1)


# --- tokens ---------------------------------------------------------------------------------------------------------


def paint_tokens(spec: TaskSpec, shown: Sequence[Split], batches: dict[str, Batch]) -> Figure:
    """A table: a few input strings of each split and their answers."""
    lines = [line for split in shown for line in token_lines(spec, split, batches[split.name])]
    figure = Figure(figsize=(WIDTH_INCHES, 0.17 * (len(lines) + 1)))
    for place, (text, answer, indent) in enumerate([("input", "answer", 0.02), *lines]):
        height = 1 - (place + 0.5) / (len(lines) + 1)
        figure.text(indent, height, text, family="monospace", va="center")
        figure.text(0.8, height, answer, family="monospace", va="center", color=COLOURS[1] if place else INK)
    return figure


def token_lines(spec: TaskSpec, split: Split, batch: Batch) -> list[tuple[str, str, float]]:
    """Lines of the table for one split: its label, then strings and answers."""
    listed = [(label(spec, split), "", 0.0)]
    for index in by_class(batch, EXAMPLES):
        answer = batch.y[index][batch.y[index] != IGNORED].reshape(-1).tolist()
        listed.append((string(batch.x[index].tolist(), TOKENS), string(answer, TOKENS // 4), 0.02))
    return listed


def string(tokens: Sequence[float], limit: int) -> str:
    """Tokens with spaces, the middle of a long string left out."""
    listed = [f"{t:.3g}" for t in tokens]
    if len(listed) > limit:
        listed = [*listed[: limit // 2], "…", *listed[-(limit // 2) :]]
    return " ".join(listed)


PAINTERS = {"image": paint_images, "signal": paint_signals, "vector": paint_vectors, "tokens": paint_tokens}


def panels(figure: Figure, down: int, across: int, share: str = "") -> list[Axes]:
    """Axes in reading order."""
    grid = figure.subplots(down, across, squeeze=False, sharex="x" in share, sharey="y" in share)
    return list(grid.flat)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the picture of one task to standard output."""
    parser = argparse.ArgumentParser(prog="python -m tasks.picture", description="A picture of a task's data, as SVG.")
    parser.add_argument("id", metavar="ID", help="family/name, with or without its version")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args(arguments)
    try:
        task = load(chosen.id)
    except UnknownName as error:
        parser.error(str(error))
    sys.stdout.write(picture(task, Draw(task.spec.id, chosen.seed)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
