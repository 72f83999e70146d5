"""benchmarks.reproduce: bands by hand, verdicts, parts that are kept and resumed, and fast paths against slow loops."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks import reproduce, reproductions
from benchmarks.records import canonical, digest
from benchmarks.reproductions import Reproduction, _chunks, _linear, _suite, _tables, _workers, colored_mnist
from benchmarks.reproductions import linear_unit_regression as regression
from benchmarks.reproductions import rotated_mnist as rotated
from benchmarks.reproductions._chunks import Chunk, DamagedChunk, Result
from benchmarks.reproductions._expected import AtLeast, Line, Published, Unpublished, closed_form
from benchmarks.reproductions._linear import LogisticLoss, Risks, Setting, SquaredLoss, with_bias
from benchmarks.reproductions._linear_worlds import World
from benchmarks.reproductions._verdicts import band_of, compare
from benchmarks.reproductions._workers import Outcome
from tasks import hub, registry
from tasks.registry import RegistryError, UnknownName
from tasks.seeds import generator

ROOT = Path(__file__).parents[1]

# --- bands and verdicts ---------------------------------------------------------------------------------------------


def test_the_band_pools_both_spreads_by_hand() -> None:
    ours = [1.0, 3.0, 5.0]  # sd 2 with 2 degrees of freedom
    band, basis = band_of(Published(0.0, sd=1.0, n=5), ours)  # 4 degrees of freedom
    pooled = math.sqrt((4 * 1 + 2 * 4) / 6)
    assert band == pytest.approx(3 * pooled * math.sqrt(1 / 5 + 1 / 3))
    assert "pooled" in basis


def test_a_population_sd_is_corrected_first() -> None:
    band, _ = band_of(Published(0.0, sd=3.0, n=10, population=True), [7.0])
    assert band == pytest.approx(3 * math.sqrt(10) * math.sqrt(1 / 10 + 1))


@pytest.mark.parametrize(
    ("expected", "ours", "band", "basis"),
    [
        (Published(0.0, sd=2.0, n=4), [1.0], 3 * 2 * math.sqrt(1 / 4 + 1), "published sd"),
        (Published(0.0, n=4), [-1.0, 1.0], 3 * math.sqrt(2) * math.sqrt(1 / 4 + 1 / 2), "no published spread, our sd"),
        (Published(0.0), [-1.0, 1.0], 3 * math.sqrt(2) * math.sqrt(1 + 1 / 2), "no published spread, our sd"),
        (closed_form(0.0, 0.0), [-1.0, 1.0], 3 * math.sqrt(2) * math.sqrt(1 / 2), "exact, our sd"),
        (Published(0.0, last_digit=0.01), [-1.0, 1.0], 3 * math.sqrt(3) + 0.005, "no published spread, our sd"),
        (Published(0.0, 0.0, 50, 0.001), [0.0, 0.0], 0.0005, "published sd and ours, pooled"),
        (Published(0.0, 1.0), [0.0, 0.0], 3 * math.sqrt(1 / 2) * math.sqrt(3 / 2), "published sd and ours, pooled"),
        (Published(0.0), [1.0], None, "no published spread, one run"),
    ],
)
def test_bands_of_every_kind(expected: Published, ours: list[float], band: float | None, basis: str) -> None:
    assert band_of(expected, ours) == (band if band is None else pytest.approx(band), basis)


@pytest.mark.parametrize(
    ("expected", "ours", "verdict"),
    [
        (Published(0.000, 0.000, 50, 0.001), [0.0005, 0.0005], "agrees"),
        (Published(0.000, 0.000, 50, 0.001), [0.0006, 0.0006], "differs"),
        (Published(1.0, 0.1, 4), [1.0 + 3 * 0.1 * math.sqrt(1 / 4 + 1)], "agrees"),
        (Published(1.0, 0.1, 4), [1.001 + 3 * 0.1 * math.sqrt(1 / 4 + 1)], "differs"),
        (Published(0.5, last_digit=0.01), [0.505], "agrees"),
        (Published(0.5, last_digit=0.01), [0.52], "undecided"),
        (AtLeast(0.8), [0.7, 0.9], "agrees"),
        (AtLeast(0.8), [0.7, 0.89], "differs"),
        (Unpublished(0.0, 1.0), [5.0], "no published value"),
    ],
)
def test_verdicts(expected: Line, ours: list[float], verdict: str) -> None:
    assert compare("line", expected, {"line": ours}).verdict == verdict


def test_a_printed_spread_that_is_none_of_the_line_is_taken_the_same_way_of_ours() -> None:
    expected = Published(2.0, 1.0, 50, spread_over=("a", "b"))
    found = compare("mean", expected, {"mean": [2.0, 2.0], "a": [1.0, 3.0], "b": [3.0, 1.0]})
    assert found.spread_as_published == 1.0  # population sds of 1 in both, though the mean does not move


# --- the registry ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("entry", reproductions.registered().values(), ids=lambda entry: entry.name)
def test_every_entry_has_lines_and_a_hash_of_its_source(entry: Reproduction) -> None:
    lines = reproductions.lines_of(entry)
    assert lines and all(isinstance(line, Published | AtLeast | Unpublished) for line in lines.values())
    assert entry.seeds >= 1 and entry.chunk >= 1 and entry.protocol and entry.where
    chunks = _chunks.chunks_of(entry)
    assert [seed for chunk in chunks for seed in chunk.seeds] == list(range(entry.seeds))
    assert len(chunks[0].source_hash) == 64


@pytest.mark.parametrize("word", ["linear-unit-1", "linear-unit-1s", "linear-unit-2"])
def test_cards_and_reproductions_print_the_same_numbers(word: str) -> None:
    card = registry.load(f"shift/{word}").spec
    claimed = {(p.value, p.spread) for p in card.published if p.source == "aubin2020linear"}
    lines = reproductions.lines_of(reproductions.registered()[word]).values()
    assert claimed <= {(line.value, line.sd) for line in lines if isinstance(line, Published)}
    assert len(claimed) >= 4


def test_names_globs_and_tiers_select() -> None:
    every = reproductions.registered()
    assert [e.name for e in reproductions.select(["linear-unit-1*"], "quick")] == ["linear-unit-1", "linear-unit-1s"]
    assert {e.tier for e in reproductions.select([], "quick")} == {"quick"}
    assert reproductions.select([], "full") == list(every.values())
    with pytest.raises(UnknownName, match=r"nearest: .*linear-unit-1"):
        reproductions.select(["linear-unit1"], "quick")


def test_a_header_with_another_field_is_refused_by_name() -> None:
    with pytest.raises(RegistryError, match=r"toy\.py: toy: .*colour"):
        reproductions.entry("toy", {"colour": "red"}, "toy")


def test_expectations_may_change_and_what_measures_may_not(tmp_path: Path) -> None:
    text = '"""Toy."""\nENTRIES = {}\nLINES: dict = {"a": 1}\ndef measure():\n    """Doc."""\n    return 1\n'
    edits = {
        "original": text,
        "lines": text.replace('"a": 1', '"a": 2, "why": "because"'),
        "docstrings": text.replace("Toy.", "A toy.").replace("Doc.", "Document."),
        "code": text.replace("return 1", "return 2"),
    }
    hashes = {}
    for name, edited in edits.items():
        (tmp_path / f"{name}.py").write_text(edited)
        hashes[name] = _chunks.source_hash(tmp_path / f"{name}.py")
    assert hashes["lines"] == hashes["docstrings"] == hashes["original"] != hashes["code"]


def test_a_shared_part_belongs_to_the_source() -> None:
    tree = _chunks.ast.parse(Path(str(regression.__file__)).read_text())
    assert _chunks.shared_parts(tree, set()) == {"_linear", "_linear_worlds"}


# --- the command ----------------------------------------------------------------------------------------------------

TOY = Reproduction("toy", "Nobody 2000", "Table 1", "a toy", "quick", 4, 2, "benchmarks.reproductions.toy")


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A registry with one entry, of two chunks, that counts its calls; chunks are computed in this process."""
    module = ModuleType(TOY.module)
    calls: list[list[int]] = []

    def measure(name: str, seeds: Sequence[int]) -> Mapping[str, list[float]]:
        calls.append(list(seeds))
        return {"mean": [1.0 + seed / 10 for seed in seeds], "bare": [2.0 for _ in seeds]}

    module.__dict__.update(
        calls=calls, measure=measure, LINES={"toy": {"mean": Published(1.1, 0.1, 4), "bare": Unpublished(0.0, 3.0)}}
    )

    def in_this_process(chunks: Sequence[Chunk], root: Path, jobs: int) -> Iterator[Outcome]:
        return (_workers.compute(chunk, root) for chunk in chunks)

    monkeypatch.setitem(sys.modules, TOY.module, module)
    for holder in (reproductions, _workers):
        monkeypatch.setattr(holder, "registered", lambda: {"toy": TOY})
    monkeypatch.setattr(_chunks, "source_hash", lambda path: "0" * 64)
    monkeypatch.setattr(_workers, "compute_all", in_this_process)
    return module


def run_toy(folder: Path, *more: str) -> int:
    return reproduce.main(["toy", "--results", str(folder), *more])


def test_what_is_kept_is_not_computed_again(
    toy: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_toy(tmp_path, "--json", str(tmp_path / "all.json")) == 0
    assert toy.calls == [[0, 1], [2, 3]]
    first = json.loads((tmp_path / "all.json").read_text())
    assert run_toy(tmp_path, "--json", str(tmp_path / "all.json")) == 0
    assert toy.calls == [[0, 1], [2, 3]]
    second = json.loads((tmp_path / "all.json").read_text())
    mean, bare = first["entries"]["toy"]["lines"]
    assert mean["values"] == [1.0, 1.1, 1.2, 1.3] and mean["verdict"] == "agrees" and mean["mean"] == 1.15
    assert bare["expected"] == {"kind": "unpublished", "floor": 0.0, "oracle": 3.0}
    for data in (first, second):
        data["provenance"].pop("written")
    assert first == second
    printed = capsys.readouterr().out
    assert "2 parts: 2 done, 0 to compute" in printed
    assert "2 lines: 1 agrees, 1 without a published value" in printed
    assert "1.15 ± 0.21" in printed and "1.1 ± 0.1" in printed and "0 to 3" in printed


def test_what_is_kept_can_be_shown_before_the_rest_is_computed(
    toy: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_toy(tmp_path, "--kept") == 0
    assert "0 parts: 0 done, 0 to compute" in capsys.readouterr().out
    assert run_toy(tmp_path, "--seeds", "2") == 0
    assert run_toy(tmp_path, "--kept", "--json", str(tmp_path / "some.json")) == 0
    assert toy.calls == [[0, 1]], "nothing is computed"
    (line, _) = json.loads((tmp_path / "some.json").read_text())["entries"]["toy"]["lines"]
    assert (line["n"], line["values"]) == (2, [1.0, 1.1])


def test_an_interrupted_command_does_the_rest(toy: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = _workers.compute_all

    def killed(chunks: Sequence[Chunk], root: Path, jobs: int) -> Iterator[Outcome]:
        yield _workers.compute(chunks[0], root)
        raise KeyboardInterrupt

    monkeypatch.setattr(_workers, "compute_all", killed)
    assert run_toy(tmp_path) == 130
    monkeypatch.setattr(_workers, "compute_all", whole)
    assert run_toy(tmp_path) == 0
    assert toy.calls == [[0, 1], [2, 3]]


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (lambda text: text[:40], "is not JSON"),
        (lambda text: text.replace("1.1", "1.7"), "checksum"),
        (lambda text: "[]", "checksum"),
    ],
)
def test_a_damaged_file_is_told_and_computed_again(
    toy: ModuleType,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    damage: Callable[[str], str],
    complaint: str,
) -> None:
    run_toy(tmp_path)
    path = _chunks.chunks_of(TOY)[0].path(tmp_path)
    whole = path.read_text()
    path.write_text(damage(whole))
    capsys.readouterr()
    assert run_toy(tmp_path) == 0
    assert toy.calls == [[0, 1], [2, 3], [0, 1]]
    assert complaint in (printed := capsys.readouterr().out) and "computed again" in printed
    assert json.loads(path.read_text())["values"] == json.loads(whole)["values"]


def with_checksum(change: Callable[[dict[str, Any]], object]) -> Callable[[str], str]:
    """The text of a result file, changed by someone who knows how its checksum is made."""

    def changed(text: str) -> str:
        body = json.loads(text)
        del body["sha256"]
        change(body)
        return canonical(body | {"sha256": digest(body)})

    return changed


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda body: body.pop("chunk"), "it has no chunk"),
        (lambda body: body.pop("values"), "it has no values"),
        (lambda body: body.update(values=[1.0]), "no object"),
        (lambda body: body["values"].pop("bare"), "expected: bare"),
        (lambda body: body["values"].update(other=[1.0, 1.0]), "expected: other"),
        (lambda body: body["values"].update(bare=[2.0]), "not 2 values of bare"),
        (lambda body: body["values"].update(bare="22"), "not 2 values of bare"),
        (lambda body: body["values"].update(bare=["2.0", 2.0]), "a value of bare is not a finite number below 1e+100"),
        (lambda body: body["values"].update(bare=[1e308, 2.0]), "a value of bare is not a finite number below 1e+100"),
        (lambda body: body["values"].update(bare=[10**400, 2]), "a value of bare is not a finite number below 1e+100"),
        (lambda body: body["values"].update(bare=[True, 2.0]), "a value of bare is not a finite number below 1e+100"),
        (lambda body: body.update(seconds="1"), "seconds are not a finite number"),
        (lambda body: body.update(seconds=-1.0), "seconds are not a finite number"),
        (lambda body: body.update(provenance=None), "no object"),
    ],
)
def test_a_right_checksum_makes_no_result(
    toy: ModuleType,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[dict[str, Any]], object],
    complaint: str,
) -> None:
    test_a_damaged_file_is_told_and_computed_again(toy, tmp_path, capsys, with_checksum(change), complaint)


@pytest.mark.parametrize("constant", ["NaN", "1e999"])
def test_what_is_no_finite_number_is_no_json(
    toy: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], constant: str
) -> None:
    def damage(text: str) -> str:
        return text.replace("1.1", constant)

    test_a_damaged_file_is_told_and_computed_again(toy, tmp_path, capsys, damage, "is not JSON")


def test_a_value_that_would_not_be_believed_is_not_kept(toy: ModuleType, tmp_path: Path) -> None:
    toy.measure = lambda name, seeds: {"mean": [1e100] * 2, "bare": [1.0] * 2}
    outcome = _workers.compute(_chunks.chunks_of(TOY)[0], tmp_path)
    assert outcome.status == "failed" and "mean: a value is not finite, or not below 1e+100" in outcome.reason


@pytest.mark.parametrize(("place", "complaint"), [("file/all.json", "nothing can be written"), ("", "is a folder")])
def test_a_place_where_no_json_can_be_written_is_told_before_anything_is_computed(
    toy: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], place: str, complaint: str
) -> None:
    (tmp_path / "file").write_text("")
    assert run_toy(tmp_path / "kept", "--json", str(tmp_path / place)) == 2
    assert toy.calls == []
    assert complaint in capsys.readouterr().err


def test_numbers_and_nouns_agree(toy: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_toy(tmp_path, "--seeds", "1") == 0
    assert "1 part: 0 done, 1 to compute" in capsys.readouterr().out
    toy.LINES["toy"]["bare"] = Published(2.0, 0.1, 4)
    assert run_toy(tmp_path) == 0
    assert "2 lines: 2 agree\n" in capsys.readouterr().out
    toy.LINES["toy"] |= {"bare": Published(9.0, 0.1, 4), "mean": Published(9.0, 0.1, 4)}
    assert run_toy(tmp_path) == 1
    assert "2 lines: 2 differ\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("each", "told"),
    [
        (0.01, "less than 0.1 core seconds"),
        (0.2, "0.4 core seconds"),
        (30.0, "60 core seconds"),
        (1e3, "2,000 core seconds"),
    ],
)
def test_what_kept_parts_took_is_said_though_nothing_was_computed(
    toy: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], each: float, told: str
) -> None:
    for chunk in _chunks.chunks_of(TOY):
        _chunks.write(Result(chunk, {"mean": [1.1, 1.1], "bare": [2.0, 2.0]}, each, {}), tmp_path)
    assert run_toy(tmp_path) == 0
    assert f", {told} in all" in capsys.readouterr().out
    assert toy.calls == []


def test_a_file_in_the_place_of_another_is_not_believed(tmp_path: Path) -> None:
    mine, other = (Chunk("toy", (seed,), "0" * 64) for seed in (0, 1))
    _chunks.write(Result(other, {"mean": [1.0]}, 0.1, {}), tmp_path)
    other.path(tmp_path).rename(mine.path(tmp_path))
    with pytest.raises(DamagedChunk, match="another result"):
        _chunks.read(mine, tmp_path, ["mean"])


def test_a_writer_that_dies_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(_chunks.os, "fsync", full)
    chunk = Chunk("toy", (0,), "0" * 64)
    with pytest.raises(OSError, match="no space left"):
        _chunks.write(Result(chunk, {"mean": [1.0]}, 0.1, {}), tmp_path)
    assert list((tmp_path / "toy").iterdir()) == []


def test_what_differs_says_why_and_decides_the_exit_status(
    toy: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    toy.LINES["toy"]["mean"] = Published(9.0, 0.1, 4, explanation="they used another toy")
    assert run_toy(tmp_path) == 1
    assert "mean: they used another toy" in capsys.readouterr().out


def test_a_failure_is_a_verdict_and_the_other_chunks_are_kept(
    toy: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    measure = toy.measure
    toy.measure = lambda name, seeds: (
        {"mean": [math.nan] * 2, "bare": [0.0] * 2} if 0 in seeds else measure(name, seeds)
    )
    assert run_toy(tmp_path) == 1
    assert "failed: ArithmeticError: mean: a value is not finite" in capsys.readouterr().out
    toy.measure = measure
    assert run_toy(tmp_path) == 0
    assert toy.calls == [[2, 3], [0, 1]]


def test_lines_that_are_not_expected_fail(toy: ModuleType, tmp_path: Path) -> None:
    toy.measure = lambda name, seeds: {"mean": [1.0] * 2, "other": [1.0] * 2}
    outcome = _workers.compute(_chunks.chunks_of(TOY)[0], tmp_path)
    assert outcome.status == "failed" and "bare, other" in outcome.reason
    toy.measure = lambda name, seeds: {"mean": [1.0], "bare": [1.0] * 2}
    assert "not 2 values of mean" in _workers.compute(_chunks.chunks_of(TOY)[0], tmp_path).reason


def test_what_a_killed_worker_left_is_tried_once_more(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    chunks = [Chunk("toy", (seed,), "0" * 64) for seed in range(3)]
    pools: list[list[Chunk]] = []

    def computed(chunks: Sequence[Chunk], root: Path, jobs: int) -> Iterator[Outcome]:
        """The first pool loses its second and third chunk, the second pool its last."""
        pools.append(list(chunks))
        broken: Future[Outcome] = Future()
        broken.set_exception(BrokenProcessPool("a child is gone"))
        yield Outcome(chunks[0], "ok")
        yield from (_workers.outcome_of(broken, chunk) for chunk in chunks[1:])

    monkeypatch.setattr(_workers, "computed", computed)
    found = list(_workers.compute_all(chunks, tmp_path, 1))
    assert pools == [chunks, chunks[1:]]
    assert [(outcome.chunk.seeds, outcome.status) for outcome in found] == [
        ((0,), "ok"),
        ((1,), "ok"),
        ((2,), "failed"),
    ]
    assert "give the command again" in found[2].reason


def test_absent_mnist_is_skipped_and_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import datasets

    monkeypatch.delenv("OFFPISTE_DATA", raising=False)
    monkeypatch.setenv("OFFPISTE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "arrow")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(hub, "load_mnist", lambda: hub.load(hub.MNIST))  # without what this process has read before
    monkeypatch.setattr(_workers, "compute_all", lambda chunks, root, jobs: (_workers.compute(c, root) for c in chunks))
    command = ["colored-mnist-gray", "rotated-mnist-sanity", "--seeds", "1", "--results", str(tmp_path / "kept")]
    assert reproduce.main(command) == 0
    printed = capsys.readouterr().out
    assert "6 skipped" in printed and "OFFPISTE_DATA" in printed
    assert list((tmp_path / "kept").rglob("*.json")) == []


def test_worker_processes_compute_and_the_listing_stays_light(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.reproduce", "shimodaira", "--seeds", "2", "--results", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "7 lines: 7 agree" in done.stdout
    heavy = "print(*(name for name in ('torch', 'numpy', 'scipy') if name in sys.modules))"
    code = f"import sys; from benchmarks.reproduce import main; main(['--list']); {heavy}"
    listed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert "colored-mnist-irm" in listed.stdout and listed.stdout.splitlines()[-1] == ""


def test_an_unknown_name_is_bad_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert reproduce.main(["lms"]) == 2
    assert "nearest: lms5" in capsys.readouterr().err


# --- linear unit tests: many worlds at once against one nn.Linear --------------------------------------------------

METHODS = {
    "ERM": Setting(0.03, 0.01),
    "IRMv1": Setting(0.03, 0.01, 0.7),
    "IGA": Setting(0.03, 0.01, 20.0),
    "ANDMask": Setting(0.05, 0.02, 0.9),
    "Oracle": Setting(0.02, 0.0),
}


def slow_training(method: str, x: Tensor, y: Tensor, start: Tensor, setting: Setting, loss: str, steps: int) -> Tensor:
    """One world: x (E, n, P), y (E, n), start (P,); everything by autograd on a linear layer."""
    layer = nn.Linear(x.shape[-1] - 1, 1).double()
    with torch.no_grad():
        layer.weight.copy_(start[None, :-1])
        layer.bias.copy_(start[-1:])
    parameters = list(layer.parameters())
    choose = torch.optim.SGD if method == "ANDMask" else torch.optim.Adam
    optimizer = choose(parameters, lr=setting.learning_rate, weight_decay=setting.weight_decay)
    for _ in range(steps):
        a, b = (torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in (1.0, 0.0))
        risks = [
            functional.mse_loss(out, target)
            if loss == "squared"
            else functional.binary_cross_entropy_with_logits(out, target)
            for inputs, target in zip(x, y, strict=True)
            for out in [a * layer(inputs[:, :-1]).squeeze(1) + b]
        ]
        gradients = [torch.autograd.grad(risk, parameters, create_graph=True) for risk in risks]
        mean_risk = torch.stack(risks).mean()
        if method == "ANDMask":
            masked(parameters, gradients, setting.strength)
        else:
            objective = mean_risk
            if method == "IRMv1":
                by_scale = [torch.autograd.grad(risk, [a, b], create_graph=True) for risk in risks]
                penalty = sum(da.square() + db.square() for da, db in by_scale)
                objective = (1 - setting.strength) * mean_risk + setting.strength * penalty
            if method == "IGA":
                means = [torch.stack(of_env).mean(0) for of_env in zip(*gradients, strict=True)]
                apart = sum((g - m).square().sum() for of in gradients for g, m in zip(of, means, strict=True))
                objective = mean_risk + setting.strength * apart
            optimizer.zero_grad()
            objective.backward()
        optimizer.step()
    return torch.cat([layer.weight[0], layer.bias]).detach()


def masked(parameters: list[nn.Parameter], gradients: list[tuple[Tensor, ...]], tau: float) -> None:
    """ANDMask as it is written: normalize, count signs, keep what agrees."""
    for place, parameter in enumerate(parameters):
        of_env = [g[place].detach() for g in gradients]
        if parameter.ndim == 2:
            of_env = [g / g.norm() for g in of_env]
        stacked = torch.stack(of_env)
        parameter.grad = torch.where(stacked.sign().sum(0).abs() > len(of_env) * tau, stacked.mean(0), 0.0)


@pytest.mark.parametrize("loss", ["squared", "logistic"])
@pytest.mark.parametrize("method", METHODS)
def test_worlds_side_by_side_train_as_one_layer_does(method: str, loss: str) -> None:
    name = "linear-unit-1s" if loss == "squared" else "linear-unit-3"
    worlds = [World(name, seed, n_examples=60) for seed in (0, 1)]
    samples = [world.sample("train", permuted=method == "Oracle") for world in worlds]
    x, y = (torch.stack(parts).double() for parts in zip(*samples, strict=True))
    starts = _linear.initial(10, [world.stream("initialisation") for world in worlds]).double()
    risks: Risks = SquaredLoss.of(x, y) if loss == "squared" else LogisticLoss(x, y)
    fast = _linear.train(method, risks, starts, METHODS[method], steps=5)
    for world in (0, 1):
        slow = slow_training(method, x[world], y[world], starts[world], METHODS[method], loss, steps=5)
        assert torch.allclose(fast[world], slow, atol=1e-9), (fast[world] - slow).abs().max()
        assert (slow - starts[world]).abs().max() > 0.01


def test_errors_from_moments_and_from_examples_by_hand() -> None:
    x = with_bias(torch.tensor([[[[1.0], [2.0]]]], dtype=torch.float64))  # one world, one environment, two examples
    v = torch.tensor([[2.0, -3.0]], dtype=torch.float64)  # outputs -1 and 1
    assert SquaredLoss.of(x, torch.tensor([[[0.0, 3.0]]]).double()).error(v).item() == pytest.approx((1 + 4) / 2)
    assert LogisticLoss(x, torch.tensor([[[1.0, 1.0]]])).error(v).item() == 0.5


def test_a_permuted_split_has_the_same_examples_with_other_partners() -> None:
    world = World("linear-unit-1", 3, n_examples=50)
    (x, y), (shuffled, same) = world.sample("test", False), world.sample("test", True)
    assert torch.equal(y, same) and torch.equal(x[..., :5], shuffled[..., :5])
    assert not torch.equal(x[..., 5:10], shuffled[..., 5:10])
    for env in range(3):
        assert torch.equal(x[env, :, 5].sort().values, shuffled[env, :, 5].sort().values)
    turned, _ = World("linear-unit-1s", 3, n_examples=50).sample("test", False)
    assert not torch.allclose(turned[..., :5], x[..., :5])


# --- coloured and turned digits -------------------------------------------------------------------------------------


def stand_in(n: int = 60) -> tuple[Tensor, Tensor]:
    """Random images (n, 28, 28) uint8 whose classes go round."""
    return torch.randint(1, 256, (n, 28, 28), generator=generator("stand-in"), dtype=torch.uint8), torch.arange(n) % 10


def test_digits_stand_in_the_channel_of_their_colour() -> None:
    images, digits = stand_in()
    for noise, channel_of in ((0.0, lambda y: y), (1.0, lambda y: 1 - y)):
        found = colored_mnist.environment(images, digits, noise, gray=False, stream=generator("a"))
        gray = colored_mnist.environment(images, digits, noise, gray=True, stream=generator("a"))
        channels = found.x.view(-1, 2, 14, 14)
        lit = channels.sum((2, 3)).argmax(1)
        assert torch.equal(lit, channel_of(found.y.long()))
        assert torch.equal(channels.sum(1).flatten(1), gray.x) and torch.equal(found.y, gray.y)
        assert torch.equal(gray.x.view(-1, 14, 14), images[:, ::2, ::2].float() / 255)
        assert 0 < ((digits < 5) != found.y.bool()).sum() < 30  # a quarter of 60 labels is flipped


def test_the_test_environment_is_the_last_sixth() -> None:
    images, digits = stand_in()
    first, second, test = colored_mnist.environments(images, digits, gray=True, stream=generator("b"))
    assert torch.equal(test.x, (images[50:, ::2, ::2].float() / 255).flatten(1))
    trained = torch.cat([first.x, second.x])
    assert len(first.x) == len(second.x) == 25
    assert torch.equal(
        trained.sum(1).sort().values, (images[:50, ::2, ::2].float() / 255).flatten(1).sum(1).sort().values
    )


@pytest.mark.parametrize("penalty", [0.0, 1.0, 50.0])
def test_the_loss_equals_one_with_a_dummy_scale(penalty: float) -> None:
    *training, _ = colored_mnist.environments(*stand_in(), gray=False, stream=generator("c"))
    weights = colored_mnist.network(392, 8, generator("d"))
    logits = [colored_mnist.outputs(weights, env.x) for env in training]
    fast = colored_mnist.loss(logits, training, weights, 0.01, penalty)
    risks, penalties = [], []
    for env in training:
        hidden = (env.x @ weights[0].T + weights[1]).clamp(min=0)
        hidden = (hidden @ weights[2].T + weights[3]).clamp(min=0)
        scale = torch.tensor(1.0, requires_grad=True)
        risk = functional.softplus(-(2 * env.y - 1) * scale * (hidden @ weights[4].T + weights[5])[:, 0]).mean()
        risks.append(risk)
        penalties.append(torch.autograd.grad(risk, [scale], create_graph=True)[0] ** 2)
    slow = sum(risks) / 2 + 0.01 * sum((w**2).sum() for w in weights) + penalty * sum(penalties) / 2
    slow = slow / penalty if penalty > 1 else slow
    assert fast.item() == pytest.approx(slow.item(), rel=1e-5)
    for a, b in zip(torch.autograd.grad(fast, weights), torch.autograd.grad(slow, weights), strict=True):
        assert torch.allclose(a, b, atol=1e-6)


def test_the_penalty_waits_for_its_step() -> None:
    setting = colored_mnist.SETTINGS["colored-mnist-irm"]
    assert [setting.penalty_at(step) for step in (0, 189, 190)] == [1.0, 1.0, 91257.18613115903]
    assert colored_mnist.SETTINGS["colored-mnist-erm"].penalty_at(0) == 0.0


def test_three_steps_on_a_stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    short = replace(colored_mnist.SETTINGS["colored-mnist-irm"], width=8, steps=3, anneal=1, shown=(1,))
    monkeypatch.setattr(hub, "load_mnist", stand_in)
    monkeypatch.setitem(colored_mnist.SETTINGS, "colored-mnist-irm", short)  # type: ignore[arg-type]
    shown = {
        "training accuracy, %", "test accuracy, %", "training accuracy at step 1, %", "test accuracy at step 1, %"
    }  # fmt: skip
    monkeypatch.setitem(
        colored_mnist.LINES,  # type: ignore[arg-type]
        "colored-mnist-irm",
        dict.fromkeys(shown, Unpublished()),
    )
    found = reproductions.measure(reproductions.registered()["colored-mnist-irm"], [0, 1])
    assert set(found) == shown
    for values in found.values():
        assert all(0 <= value <= 100 and (value * 10) % 2 < 1e-6 for value in values)  # a share of 50 or of 10
    assert found == reproductions.measure(reproductions.registered()["colored-mnist-irm"], [0, 1])


def test_every_digit_is_dealt_once_and_turned() -> None:
    images, digits = stand_in(72)
    dealt = rotated.deal(images, digits, generator("e"))
    assert list(dealt) == [0, 15, 30, 45, 60, 75] and all(len(y) == 12 for _, y in dealt.values())
    assert torch.cat([y for _, y in dealt.values()]).bincount().tolist() == digits.bincount().tolist()
    upright = images.flatten(1).float() / 255
    nearest = {deg: torch.cdist(x.flatten(1), upright).amin(1) for deg, (x, _) in dealt.items()}
    assert nearest[0].max() < 0.01 and nearest[15].min() > 1


def test_the_sanity_run_measures_every_line() -> None:
    images, digits = stand_in(72)
    found = rotated.sanity_run(images, digits, generator("f"), steps=1)
    assert set(found) == set(rotated.LINES["rotated-mnist-sanity"])
    assert sum(p.numel() for p in rotated.Convolutional().parameters()) == 640 + 73_856 + 2 * 147_584 + 896 + 1_290


# --- trials of the suite --------------------------------------------------------------------------------------------


def test_a_trial_of_the_suite_gives_selected_last_and_best_scores() -> None:
    found = _suite.suite_scores("simplicity/unseen-f2-v1", "mlp", 1, budget_scale=0.02, hparams={"width": 8})
    assert found.last == found.every[-1]
    assert found.selected in found.every
    assert found.best("cube", "leak") == max(scores["cube"]["leak"] for scores in found.every)


def test_a_trial_that_fails_says_which() -> None:
    with pytest.raises(_suite.TrialFailed, match=r"unseen-f2-v1, mlp, seed 0: failed, .*colour"):
        _suite.suite_scores("simplicity/unseen-f2-v1", "mlp", 0, hparams={"colour": "red"})


def test_rows_fold_and_numbers_are_whole_in_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    values = {"a line with a rather long name, environment 2": [13.3, 13.4, 13.36]}
    (line,) = values
    comparison = compare(line, Published(13.363, 1.487, 50, 0.001, source="closed form"), values)
    from rich.console import Console

    Console(width=80).print(_tables.table([comparison]))
    printed = capsys.readouterr().out
    assert "13.35 ± 0.13" in printed and "13.363 ± 1.487" in printed and "agrees" in printed and "…" not in printed
