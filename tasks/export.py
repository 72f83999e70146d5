"""A task's data as a Hugging Face `DatasetDict`, for other frameworks.

    python -m tasks.export shift/colored-digits --out digits
    python -m tasks.export shift/colored-digits --out digits --format parquet --seed 3 --split train noise-0.9

`arrow` is opened by `datasets.load_from_disk("digits")`, `parquet` by `datasets.load_dataset("digits")` and by whatever
reads Parquet. Columns are the tensors of a batch (x, y and, where a task has them, env, weight, group, latent), the
description is the task's card. A folder is written whole or not at all.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from torch import Tensor

from tasks.card import bibtex, markdown
from tasks.metrics import IGNORED
from tasks.registry import UnknownName, load
from tasks.seeds import Draw
from tasks.types import Batch, Data, MissingData, Problem, Split, Task, TaskSpec, load_data

if TYPE_CHECKING:
    import datasets  # takes a second to import: only when something is exported

Format = Literal["arrow", "parquet"]
COLUMNS = ("x", "y", "env", "weight", "group", "latent")
CARD = "README.md"


class ExportError(Exception):
    """Something cannot be exported as asked; the message says why and what to do."""


def export(
    task: Task,
    out: Path,
    draw: Draw,
    condition: str | None = None,
    splits: Sequence[str] = (),
    file_format: Format = "arrow",
) -> Path:
    """Write splits of one world (all of them by default) of one condition (the first by default) into a new folder.

    Raises:
        ExportError: for a folder that exists, an unknown split or condition, or names that collide.
        MissingData: when the task's data are not on this machine.
    """
    if out.exists():
        raise ExportError(f"{out} is already there; give --out a new folder, or remove it first")
    try:
        chosen = [task.spec.split(name) for name in splits] or list(task.spec.splits)
        named = task.spec.condition(condition) if condition else task.spec.conditions[0]
    except KeyError as error:
        raise ExportError(error.args[0]) from error
    legal_names(chosen)
    sets = dataset_dict(task.spec, chosen, load_data(task, named.name, draw, chosen))
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}."))
    try:
        save(sets, partial, file_format)
        (partial / CARD).write_text(front_matter(sets, file_format) + markdown(task.spec), encoding="utf-8")
        partial.chmod(0o755)  # mkdtemp's folders are for their owner alone
        partial.rename(out)
    except BaseException:
        shutil.rmtree(partial)
        raise
    return out


def legal_names(splits: Sequence[Split]) -> list[str]:
    """The splits' names as `datasets` allows them: words joined by dots, so `ood-45` becomes `ood_45`.

    Raises:
        ExportError: when two splits get the same name.
    """
    names = [re.sub(r"[^0-9A-Za-z_.]", "_", split.name).strip(".") for split in splits]
    for name in names:
        if names.count(name) > 1:
            same = [split.name for split, legal in zip(splits, names, strict=True) if legal == name]
            raise ExportError(f"splits {' and '.join(same)} would all be called {name}; export them one by one")
    return names


def dataset_dict(spec: TaskSpec, splits: Sequence[Split], data: Data) -> datasets.DatasetDict:
    """Split name to a `Dataset` with the card as its info. All have the same columns, null where a split has none."""
    import datasets

    batches = [data[split.name] for split in splits]
    features = features_of(spec.problem, batches)
    info = datasets.DatasetInfo(
        description=markdown(spec),
        citation="\n\n".join(bibtex(source) for source in spec.sources),
        homepage=spec.sources[0].url,
        license=spec.licence,
        version=datasets.Version(f"{spec.entry.version}.0.0"),
        dataset_name=spec.entry.name.replace("/", "-"),
        features=features,
    )
    sets = datasets.DatasetDict()
    for name, batch in zip(legal_names(splits), batches, strict=True):
        columns = {column: values(batch, column) for column in features}
        sets[name] = datasets.Dataset.from_dict(columns, features=features, info=info, split=datasets.NamedSplit(name))
    return sets


def values(batch: Batch, column: str) -> Any:
    """The values of one column (N, ...); nulls where the batch has none."""
    tensor: Tensor | None = getattr(batch, column)
    return [None] * len(batch) if tensor is None else tensor.numpy()


def features_of(problem: Problem, batches: Sequence[Batch]) -> datasets.Features:
    """The type of every column that any of the batches has: numbers, class labels, fixed-size lists, arrays."""
    import datasets

    found = {}
    for column in COLUMNS:
        tensors = [tensor for batch in batches if (tensor := getattr(batch, column)) is not None]
        if tensors:
            value = datasets.Value(str(tensors[0].dtype).removeprefix("torch."))
            all_asked = not any(bool((tensor == IGNORED).any()) for tensor in tensors)
            if column == "y" and problem.output_kind == "classes" and all_asked:
                value = datasets.ClassLabel(names=[str(c) for c in range(problem.n_outputs)])
            found[column] = feature_of(column, value, {tuple(tensor.shape[1:]) for tensor in tensors})
    return datasets.Features(found)


def feature_of(column: str, value: Any, shapes: set[tuple[int, ...]]) -> Any:
    """The type of a column whose examples have these shapes; lists of several lengths have no fixed one.

    Raises:
        ExportError: when arrays of several shapes would stand in one column.
    """
    import datasets

    shape, *others = sorted(shapes)
    if not others and len(shape) == 0:
        return value
    if all(len(each) == 1 for each in shapes):
        return datasets.List(value, length=-1 if others else shape[0])
    if others:
        raise ExportError(f"{column} has shapes {shape} and {others[0]} in different splits; export them one by one")
    several = {2: datasets.Array2D, 3: datasets.Array3D, 4: datasets.Array4D, 5: datasets.Array5D}[len(shape)]
    return several(shape=shape, dtype=value.dtype)


def save(sets: datasets.DatasetDict, folder: Path, file_format: Format) -> None:
    """Write every split below a folder."""
    if file_format == "arrow":
        sets.save_to_disk(folder)
        return
    (folder / "data").mkdir()
    for name, dataset in sets.items():
        dataset.to_parquet(folder / "data" / f"{name}.parquet")


def front_matter(sets: datasets.DatasetDict, file_format: Format) -> str:
    """The YAML head of a Parquet folder's card, from which `datasets.load_dataset(folder)` learns its splits."""
    if file_format == "arrow":
        return ""
    files = "".join(f"  - split: {name}\n    path: data/{name}.parquet\n" for name in sets)
    return f"---\nconfigs:\n- config_name: default\n  data_files:\n{files}---\n\n"


def silence_progress() -> None:
    """No progress bar for every split: a whole task takes seconds."""
    import datasets

    datasets.disable_progress_bars()


def main(arguments: Sequence[str] | None = None) -> int:
    """Export one task; 0 when the folder stands, 2 for a request that cannot be met."""
    parser = argparse.ArgumentParser(
        prog="python -m tasks.export", description="A task's data as a Hugging Face data set."
    )
    parser.add_argument("id", metavar="ID", help="family/name, with or without its version")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="a new folder")
    parser.add_argument("--seed", type=int, default=0, help="which world (default: 0)")
    parser.add_argument("--condition", help="one of the task's trainings (default: the first)")
    parser.add_argument("--split", nargs="+", default=[], help="only these splits (default: all)")
    parser.add_argument("--format", choices=get_args(Format), default="arrow")
    chosen = parser.parse_args(arguments)
    silence_progress()
    try:
        task = load(chosen.id)
        draw = Draw(task.spec.id, chosen.seed)
        out = export(task, chosen.out, draw, chosen.condition, chosen.split, chosen.format)
    except (ExportError, MissingData, UnknownName) as error:
        parser.error(str(error))
    opener = "load_from_disk" if chosen.format == "arrow" else "load_dataset"
    print(f"{out}: open it with datasets.{opener}({str(out)!r})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
