"""Cue conflict: what each cue shows and what it does not, the dealing of cues, and the indices of known readers."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

import tasks
from tasks.seeds import Draw
from tasks.simplicity.cue_conflict import Cues, breadth, combinations
from tasks.sources.cue_images import (
    AREAS_PX,
    LETTER_CUES,
    LETTER_SIDE,
    NOISE_SD,
    SPRITE_CUES,
    SPRITE_SIDE,
    letter_stamps,
    letters,
    sprite_stamps,
    sprites,
)
from tasks.types import Batch, Row, Summary, load_data

MAIN = ("simplicity/cue-conflict", "simplicity/global-local")
CONTROLS = tuple(f"{task_id}-control" for task_id in MAIN)
SHAPE, COLOUR, SIZE, ORIENTATION = range(4)


def load(task_id: str) -> Cues:
    found = tasks.load(task_id)
    assert isinstance(found, Cues)
    return found


def summary_of(task: Cues, reader: str, seed: int = 0) -> Summary:
    """What a trial of a reference predictor would report."""
    rows = {}
    for condition in (c.name for c in task.spec.conditions):
        draw = Draw(task.spec.id, seed)
        data = load_data(task, condition, draw, task.spec.with_role("val", "iid", "ood", "probe"))
        batch_of = {id(batch.x): batch for batch in data.values()}
        predictor = task.references(condition, draw)[reader]
        scores = task.measure(condition, lambda x, p=predictor, b=batch_of: p(b[id(x)]), data)  # type: ignore[misc]
        rows[condition] = Row(scores, task.anchors(condition, data, draw))
    return task.summarize(rows)


# --- sprites --------------------------------------------------------------------------------------------------------


def moments(image: Tensor) -> tuple[Tensor, Tensor]:
    """Centroid (2,) and central second moments (2, 2) of an image, in pixels; right and up."""
    side = len(image)
    place = torch.arange(side).double() - (side - 1) / 2
    up, right = torch.meshgrid(-place, place, indexing="ij")
    points, weight = torch.stack([right, up], -1).flatten(0, 1), image.double().flatten() / image.double().sum()
    centre = weight @ points
    return centre, (points - centre).T @ (weight.unsqueeze(1) * (points - centre))


def test_ink_tells_size_and_nothing_else() -> None:
    ink = sprite_stamps().sum((3, 4))  # (shape, size, orientation)
    assert (ink / torch.tensor(AREAS_PX).view(1, 3, 1) - 1).abs().max() < 0.02


def test_no_two_sprites_are_near_each_other() -> None:
    """Every pair of the 81 differs by more than ten times what noise adds along the line between them."""
    images = sprites(combinations("independent", 4, 3), torch.Generator().manual_seed(0)).flatten(1)
    stamps = sprite_stamps().flatten(0, 2).flatten(1)
    distance = torch.cdist(stamps, stamps) + 1e9 * torch.eye(len(stamps))
    assert distance.min() > 10 * 2 * NOISE_SD
    assert images.shape == (81, 3 * SPRITE_SIDE**2)


@pytest.mark.parametrize("size", [0, 1, 2])
def test_shapes_have_the_second_moments_of_a_square_an_ellipse_and_a_triangle(size: int) -> None:
    """Upright, by calculus: a square A/12 both ways; an ellipse 2:1 A/(2 pi), A/(8 pi); a triangle A/(6 sqrt 3).

    Counting in whole pixels adds 1/12 to a moment (Sheppard), give or take 1/12 where edges run along them.
    """
    area = AREAS_PX[size]
    expected = {
        0: (area / 12, area / 12),
        1: (area / (2 * math.pi), area / (8 * math.pi)),
        2: (area / (6 * math.sqrt(3)), area / (6 * math.sqrt(3))),
    }
    for shape, (along, across) in expected.items():
        _, covariance = moments(sprite_stamps()[shape, size, 0])
        assert float(covariance[0, 0]) == pytest.approx(along + 1 / 12, abs=2.1 / 12)
        assert float(covariance[1, 1]) == pytest.approx(across + 1 / 12, abs=2.1 / 12)


def test_orientation_turns_every_shape_counter_clockwise_by_30_degrees() -> None:
    """The phase of the lowest angular moment that the shape's symmetry leaves: 4, 2 and 3 turns of the circle."""
    side = sprite_stamps().shape[-1]
    place = torch.arange(side).double() - (side - 1) / 2
    up, right = torch.meshgrid(-place, place, indexing="ij")
    z = torch.complex(right, up)
    for shape, fold in ((0, 4), (1, 2), (2, 3)):
        for orientation, degrees in enumerate((0, 30, 60)):
            moment = (sprite_stamps()[shape, 2, orientation].double() * z**fold).sum()
            at_zero = (sprite_stamps()[shape, 2, 0].double() * z**fold).sum()
            turned = math.degrees(float((moment / at_zero).angle())) / fold
            assert abs((turned - degrees + 180 / fold) % (360 / fold) - 180 / fold) < 1


def test_a_colour_is_one_channel_and_the_rest_is_noise() -> None:
    shown = combinations("independent", 4, 3).repeat(4, 1)
    x = sprites(shown, torch.Generator().manual_seed(1))
    assert torch.equal(x.sum((2, 3)).argmax(1), shown[:, COLOUR])
    others = x[torch.arange(3).expand(len(x), 3) != shown[:, [COLOUR]]]
    n = others.numel()
    assert float(others.mean()) == pytest.approx(0, abs=5 * NOISE_SD / math.sqrt(n))
    assert float(others.std()) == pytest.approx(NOISE_SD, rel=5 / math.sqrt(2 * n))


# --- letters --------------------------------------------------------------------------------------------------------


def test_brightness_tells_neither_letter_nor_glyph() -> None:
    ink = letter_stamps().sum((2, 3))
    assert torch.allclose(ink, torch.tensor(32.0).expand(4, 4))


def test_a_letter_is_its_glyph_at_eight_places() -> None:
    """Correlating with the glyph at every place of the lattice finds the letter, whatever the glyph."""
    places = letter_stamps().unfold(2, 3, 4).unfold(3, 3, 4).sum((4, 5))  # (letter, glyph, 5, 5)
    assert torch.equal((places > 0).sum((2, 3)), torch.full((4, 4), 8))
    assert all(torch.equal(places[:, 0] > 0, places[:, glyph] > 0) for glyph in range(1, 4))
    assert len({(places[letter, 0] > 0).numpy().tobytes() for letter in range(4)}) == 4


def test_letters_roam_three_times_as_far_as_the_pitch_of_their_glyphs() -> None:
    """No pixel stands for a place of the letter: its corner is met at all of 14 x 14 pixels, within five deviations."""
    n = 8_000
    x = letters(torch.tensor([[0, 2]]).expand(n, 2), torch.Generator().manual_seed(0))  # L of dots
    first = (x[:, 0] > 0.5).flatten(1).float().argmax(1)
    rows, columns = first // LETTER_SIDE, first % LETTER_SIDE
    assert rows.max() == columns.max() == 13
    counts = (rows * 14 + columns).bincount(minlength=196)
    assert (counts - n / 196).abs().max() < 5 * math.sqrt(n / 196)


# --- dealing --------------------------------------------------------------------------------------------------------


def test_combinations_by_hand() -> None:
    assert combinations("agree", 3, 2).tolist() == [[0, 0, 0], [1, 1, 1]]
    assert combinations("conflict", 2, 3).tolist() == [[0, 1], [0, 2], [1, 0], [1, 2], [2, 0], [2, 1]]
    assert len(combinations("independent", 4, 3)) == 81


@pytest.mark.parametrize("task_id", MAIN)
def test_all_cues_agree_in_training_and_every_combination_comes_equally_often_in_the_probes(task_id: str) -> None:
    task = load(task_id)
    data = load_data(task, "default", Draw(task.spec.id, 0))
    for name in ("train", "val", "iid"):
        latent, y = data[name].latent, data[name].y
        assert latent is not None and torch.equal(latent, y.unsqueeze(1).expand_as(latent))
        counts = y.bincount(minlength=task.n_values)
        assert counts.max() - counts.min() <= 1
    probes = [data[cue] for cue in task.cues]
    for cue, probe in enumerate(probes):
        assert torch.equal(probe.x, probes[0].x)
        assert probe.latent is not None and torch.equal(probe.latent[:, cue], probe.y)
    shown = probes[0].latent
    assert shown is not None
    frequencies = shown.unique(dim=0, return_counts=True)[1]
    assert frequencies.unique().tolist() == [12 if len(task.cues) == 4 else 100]
    assert len(frequencies) == (81 if len(task.cues) == 4 else 12)


@pytest.mark.parametrize("task_id", MAIN)
def test_which_values_go_together_is_dealt_anew_for_every_seed_and_holds_in_all_splits(task_id: str) -> None:
    task = load(task_id)
    labels = torch.arange(task.n_values).unsqueeze(1).expand(-1, len(task.cues))
    dealt = [task.values(labels, Draw(task.spec.id, seed)) for seed in range(40)]
    for values in dealt:
        assert torch.equal(values.sort(0).values, labels)
    assert all(len({tuple(v[:, cue].tolist()) for v in dealt}) > 4 for cue in range(len(task.cues)))
    assert torch.equal(dealt[3], task.values(labels, Draw(task.spec.id, 3)))


@pytest.mark.parametrize("task_id", CONTROLS)
def test_in_a_control_the_label_is_one_cue_and_the_others_say_nothing(task_id: str) -> None:
    task = load(task_id)
    for place, cue in enumerate(task.cues):
        train = task.sample(cue, task.spec.split("train"), Draw(task.spec.id, 0))
        assert train.latent is not None and torch.equal(train.y, train.latent[:, place])
        for other in set(range(len(task.cues))) - {place}:
            joint = (train.y * task.n_values + train.latent[:, other]).bincount(minlength=task.n_values**2)
            assert joint.max() - joint.min() <= task.n_values ** (len(task.cues) - 2)


def test_colour_can_be_read_off_the_pixels_with_the_label_that_the_seed_gave_it() -> None:
    """The only cue with a closed-form reader; wrong pairing, channels or labels would break the equality."""
    task = load("simplicity/cue-conflict")
    draw = Draw(task.spec.id, 1)
    train = task.sample("default", task.spec.split("train"), draw)
    probe = task.sample("default", task.spec.split("colour"), draw)
    label_of = torch.stack([train.y[train.x.sum((2, 3)).argmax(1) == c].unique() for c in range(3)]).squeeze(1)
    assert torch.equal(label_of[probe.x.sum((2, 3)).argmax(1)], probe.y)


# --- indices --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cue", SPRITE_CUES)
def test_a_reader_of_one_cue_has_a_unit_vector_and_no_breadth(cue: str) -> None:
    indices = summary_of(load("simplicity/cue-conflict"), f"{cue}-reader").indices
    expected = {name: float(name == cue) for name in SPRITE_CUES}
    assert {name: indices[name] for name in SPRITE_CUES} == pytest.approx(expected, abs=1e-6)
    assert indices["breadth"] == pytest.approx(0, abs=1e-6)


def test_a_vote_of_all_cues_has_the_largest_breadth() -> None:
    """Each voter agrees with the plurality in 16/27 of the combinations, so that v = 7/18 for all.

    By the other three votes: its own value wins with three more (1 way of 27), with two (6), with one against two
    different others (6) and half of the time with one against a pair (6); with none it loses (8).
    """
    indices = summary_of(load("simplicity/cue-conflict"), "vote").indices
    assert {name: indices[name] for name in SPRITE_CUES} == pytest.approx(dict.fromkeys(SPRITE_CUES, 7 / 18), abs=1e-6)
    assert indices["breadth"] == pytest.approx(1, abs=1e-6)


def test_breadth_by_hand() -> None:
    assert breadth({"a": 0.5, "b": 0.5, "c": -0.1, "d": 0.0}) == {"breadth": pytest.approx(0.5)}
    assert breadth({"a": 0.2, "b": 0.0}) == {"breadth": 0.0}
    assert breadth({"a": 0.05, "b": 0.04, "c": -0.3}) == {}
    p = (0.75, 0.25)
    assert breadth({"a": 0.6, "b": 0.2})["breadth"] == pytest.approx(-sum(q * math.log2(q) for q in p))


def test_a_model_that_follows_one_cue_at_a_time_has_its_shares_as_the_vector() -> None:
    """Seven tenths of the images by colour, three tenths by size; five standard errors of an accuracy."""
    task = load("simplicity/cue-conflict")
    data = load_data(task, "default", Draw(task.spec.id, 0), task.spec.with_role("val", "iid", "probe"))
    by_size = torch.rand(972, generator=torch.Generator().manual_seed(0)) < 0.3

    def share(batch: Batch) -> float:
        assert batch.latent is not None
        decided = torch.where(by_size, batch.latent[:, SIZE], batch.latent[:, COLOUR])
        return float((decided == batch.y).float().mean())

    scores = {cue: {"accuracy": share(data[cue])} for cue in SPRITE_CUES} | {"iid": {"accuracy": 1.0}}
    indices = task.summarize({"default": Row(scores, {})}).indices
    error = 5 * math.sqrt(2 / 9 / 972) / (2 / 3)
    expected = {"shape": 0.0, "colour": 0.7, "size": 0.3, "orientation": 0.0}
    assert {name: indices[name] for name in SPRITE_CUES} == pytest.approx(expected, abs=error)


@pytest.mark.parametrize(("reader", "bias"), [("global-reader", 1.0), ("local-reader", 0.0), ("vote", 0.5)])
def test_global_bias_of_known_readers(reader: str, bias: float) -> None:
    summary = summary_of(load("simplicity/global-local"), reader)
    assert summary.trained
    assert summary.indices == {"global_bias": pytest.approx(bias)}


@pytest.mark.parametrize(
    ("by_letter", "by_glyph", "expected"),
    [(0.6, 0.2, {"global_bias": 0.75}), (0.25, 0.25, {}), (0.1, 0.2, {})],
)
def test_global_bias_counts_decisions_and_is_undefined_for_guesses(
    by_letter: float, by_glyph: float, expected: dict[str, float]
) -> None:
    scores = {"iid": {"accuracy": 1.0}, "global": {"accuracy": by_letter}, "local": {"accuracy": by_glyph}}
    indices = load("simplicity/global-local").summarize({"default": Row(scores, {})}).indices
    assert indices == pytest.approx(expected)


@pytest.mark.parametrize("task_id", CONTROLS)
def test_a_control_tells_cue_by_cue_what_was_learned(task_id: str) -> None:
    task = load(task_id)
    assert task.cues == tuple(SPRITE_CUES if "conflict" in task_id else LETTER_CUES)
    chance = 1 / task.n_values
    anchors = {"test": {"chance": chance, "oracle": 1.0}}
    rows = {cue: Row({"iid": {"accuracy": 1.0}, "test": {"accuracy": 1.0}}, anchors) for cue in task.cues}
    rows[task.cues[-1]] = Row({"iid": {"accuracy": chance}, "test": {"accuracy": chance}}, anchors)
    summary = task.summarize(rows)
    assert summary.indices == pytest.approx({cue: float(cue != task.cues[-1]) for cue in task.cues})
    assert summary.scores["score"] == pytest.approx(1 - 1 / len(task.cues))
    assert summary_of(task, "oracle").indices == pytest.approx(dict.fromkeys(task.cues, 1.0))
