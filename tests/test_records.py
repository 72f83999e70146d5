"""A record survives the way through a file, and a file that lies is refused with a reason."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from benchmarks.records import MAX_BYTES, InvalidRecord, Record, Trial, canonical, clean_text, digest, parse

TRIAL = Trial("shift/some-task-v1", "default", "mlp", "0" * 64, {"width": 128}, 0, digest("public"))
RECORD = Record(
    TRIAL,
    "ok",
    scores={"ood": {"accuracy": 0.5, "nll": 1.25}},
    last={"ood": {"accuracy": 0.25, "nll": 2.0}},
    anchors={"ood": {"chance": 0.1}},
    curve=[{"step": 10, "loss": None, "scores": {}}, {"step": 20, "loss": 0.5, "scores": {}}],
    selected_step=10,
    n_parameters=12,
    seconds=1.5,
    data={"ood": [100, 0.0, 1.0, 4.5]},
)


def forged(**changes: Any) -> str:
    """The record's text with fields of its body changed and the checksum made to fit."""
    body = json.loads(RECORD.to_json()) | changes
    body.pop("sha256")
    return json.dumps(body | {"sha256": digest(body)})


def test_a_record_comes_back_equal() -> None:
    assert parse(RECORD.to_json()) == RECORD
    assert parse(RECORD.to_json().encode()).key == TRIAL.key


def test_the_text_of_a_record_does_not_depend_on_the_order_of_its_parts() -> None:
    turned = replace(RECORD, scores={"ood": {"nll": 1.25, "accuracy": 0.5}})
    assert turned.to_json() == RECORD.to_json()


@pytest.mark.parametrize(
    "changes",
    [{"task": "shift/some-task-v2"}, {"condition": "other"}, {"model": "cnn"}, {"source_hash": "1"}, {"seed": 1},
     {"algorithm": "irm"}, {"hparams": {"width": 64}}, {"budget_scale": 2.0}, {"draw": "x"},
     {"algorithm_hash": "1"}, {"settings": {"penalty": 1.0}}, {"recipe": {"learning_rate": 0.1}},
     {"tuned": "iid-validation/20"}, {"dose": {"label-noise": 0.1}}, {"left_out": 1}],
)  # fmt: skip
def test_every_field_of_a_trial_is_in_its_key(changes: dict[str, Any]) -> None:
    assert replace(TRIAL, **changes).key != TRIAL.key


def test_no_truncation_of_a_file_is_believed() -> None:
    text = RECORD.to_json()
    for length in range(len(text) - 1):  # the last byte is the newline
        with pytest.raises(InvalidRecord):
            parse(text[:length])


def test_no_flipped_byte_is_believed() -> None:
    raw = bytearray(RECORD.to_json().encode())
    for position in range(len(raw) - 1):
        damaged = bytes(raw[:position]) + bytes([raw[position] ^ 1]) + bytes(raw[position + 1 :])
        with pytest.raises(InvalidRecord):
            parse(damaged)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"schema": 99}, "schema 99"),
        ({"status": "great"}, "status 'great'"),
        ({"scores": {"ood": {"accuracy": 1.5}}}, "out of [0, 1]"),
        ({"scores": {"ood": {"accuracy": True}}}, "not a finite number"),
        ({"scores": {"ood": 1}}, "not dict"),
        ({"scores": [1]}, "not dict"),
        ({"curve": [{"step": 5, "scores": {}}, {"step": 5, "scores": {}}]}, "do not rise"),
        ({"seconds": "long"}, "not a finite number"),
        ({"n_parameters": -1}, "whole number"),
        ({"reason": "\u202eevil"}, "control characters"),
        ({"reason": "x" * 30_000}, "30,000 characters"),
        ({"log": "\x1b[2J"}, "control characters"),
        ({"unexpected": 1}, "too many or too few"),
        ({"trial": {"task": "../../etc"}}, "too many or too few"),
        ({"key": "0" * 32}, "key does not match"),
    ],
)
def test_a_lying_field_is_named(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidRecord) as error:
        parse(forged(**changes))
    assert reason in str(error.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [("task", "../x/y"), ("task", "shift/../y"), ("model", "a/b"), ("model", "=cmd()"), ("algorithm", ".."),
     ("condition", "<b>"), ("seed", -1), ("seed", 1.5), ("budget_scale", None), ("budget_scale", 0), ("tuned", "/"),
     ("tuned", "oracle/"), ("tuned", " oracle/2"), ("tuned", "iid-validation/2\n# heading"), ("left_out", 1),
     ("dose", {"label-noise": "x"}), ("dose", []), ("settings", 3), ("recipe", None), ("algorithm_hash", 1)],
)  # fmt: skip
def test_a_trial_that_would_leave_its_folder_is_refused(field: str, value: Any) -> None:
    trial = json.loads(RECORD.to_json())["trial"] | {field: value}
    with pytest.raises(InvalidRecord):
        parse(forged(trial=trial))


def test_hostile_json_is_refused_before_it_hurts() -> None:
    for text, reason in [
        ("[" * 200_000, "nested deeper"),
        ('{"a": ' * 200_000, "nested deeper"),
        (" " * (MAX_BYTES + 1), "bytes"),
        ('{"schema": 1, "schema": 1}', "same key twice"),
        ('{"schema": NaN}', "NaN is not allowed"),
        ('{"schema": Infinity}', "Infinity is not allowed"),
        ("null", "not an object"),
        ('"[[[[[[[[[[[[[[[[[["', "not an object"),
    ]:
        with pytest.raises(InvalidRecord, match=reason):
            parse(text)


def test_what_is_not_finite_cannot_be_written() -> None:
    with pytest.raises(ValueError):
        replace(RECORD, scores={"ood": {"accuracy": float("nan")}}).to_json()


def test_text_is_cleaned_and_shortened_in_its_middle() -> None:
    assert clean_text("a\x00b\u202ec\n") == "a?b?c\n"
    short = clean_text("a" * 50 + "b" * 50, 60)
    assert short.startswith("aaa") and short.endswith("bbb") and "[...]" in short and len(short) <= 60


def test_canonical_json_sorts_its_keys() -> None:
    assert canonical({"b": 1, "a": [1.5, None]}) == '{"a":[1.5,null],"b":1}'


@pytest.mark.parametrize("value", ["1e999", "1" + "0" * 400, '"\\ud800"', "-1", "[]"])
def test_numbers_and_texts_that_no_writer_makes_are_refused(value: str) -> None:
    text = RECORD.to_json().replace('"selected_step":10', f'"selected_step":{value}')
    assert text != RECORD.to_json()
    with pytest.raises(InvalidRecord):
        parse(text)
