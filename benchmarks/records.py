"""Trial and Record: the two plain-data nouns that go between processes and into files.

A record is JSON. Reading one treats it as untrusted: size, depth, types, ranges and its own key are checked.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from typing import Any, Literal, get_args

SCHEMA = 2
MAX_BYTES = 2_000_000
MAX_DEPTH = 12
MAX_TEXT = 20_000

Status = Literal["ok", "failed", "diverged", "timeout", "out_of_memory", "skipped"]
STATUSES: tuple[Status, ...] = get_args(Status)
SEARCH = "search"  # what `tuned` says of a trial that only tries a configuration
TRANSDUCTIVE, TARGET_INPUTS = "transductive", "target-inputs"
FLAGS = (TRANSDUCTIVE, TARGET_INPUTS)

TASK_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}/[a-z0-9][a-z0-9._-]{0,63}")
SEGMENT = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}(@[0-9a-f]{8})?")
VALIDATION, ORACLE, LEAVE_ONE_OUT = "iid-validation", "oracle", "leave-one-environment-out"
TUNED = re.compile(rf"|search|({VALIDATION}|{ORACLE}|{LEAVE_ONE_OUT})/[1-9][0-9]{{0,5}}")
HASH = re.compile(r"[0-9a-f]{32}")
RANGES = dict.fromkeys(("accuracy", "ece", "worst_group", "exact_match", "auc", "error"), (0.0, 1.0)) | dict.fromkeys(
    ("mse", "nll", "relative_error"), (0.0, math.inf)
)
SLACK = 1e-6  # for what rounding adds
STRING = re.compile(rb'"(?:[^"\\]|\\.)*"')
NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


class InvalidRecord(Exception):
    """A result file that cannot be believed; the message says what is wrong with it."""


def canonical(value: object) -> str:
    """JSON with sorted keys and no white space; NaN and infinity are refused."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)


def digest(value: object) -> str:
    """The first 32 hex digits of the SHA-256 of the canonical JSON."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Trial:
    """One training: what is asked, of whom, and with which randomness. Its `key` is its identity.

    Not in it: device, path, launcher, time; nor the recipe, which the task's version and the source decide, but for the
    fields that `recipe` replaces. `draw` is a hash of the draw word, never the word.

    `hparams` are the model's, `settings` the algorithm's. `tuned` says which search chose settings and recipe, such as
    `iid-validation/20`, and is empty where nobody searched. `dose` holds the knobs of the task that a sweep turned.
    `left_out` is the training environment that validates instead; None where none is left out.
    """

    task: str
    condition: str
    model: str
    source_hash: str
    hparams: Mapping[str, Any]
    seed: int
    draw: str
    algorithm: str = "erm"
    algorithm_hash: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    tuned: str = ""
    budget_scale: float = 1.0
    dose: Mapping[str, float] = field(default_factory=dict)
    left_out: int | None = None

    @cached_property
    def key(self) -> str:
        """Identity of the trial, 32 hex digits."""
        return digest({f.name: getattr(self, f.name) for f in fields(self)})

    @property
    def folder(self) -> str:
        """Where its record belongs in a results folder: family/task/model/algorithm."""
        return f"{self.task}/{self.model}/{self.algorithm}"


@dataclass(frozen=True)
class Record:
    """The outcome of one trial; the leaderboard's only source of numbers.

    scores[split][metric] are those of the selected step, `last` those of the last; `curve` has every measured step:
    [{"step": 200, "loss": .3, "scores": {...}}]. `anchors[split][name]` are values of the headline metric for
    reference predictors on the same data. `data[split]` is a fingerprint of the examples: their number, mean and
    standard deviation of x, mean of y. Empty mappings unless the status is `ok`.

    `flags` are what a reader must know: `transductive` (a prediction changes with the rest of its batch) and
    `target-inputs` (the algorithm was given the unlabelled inputs of the test).
    """

    trial: Trial
    status: Status
    reason: str = ""
    scores: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    last: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    anchors: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    curve: Sequence[Mapping[str, Any]] = ()
    selection: str = "iid-validation"
    selected_step: int = 0
    recipe: Mapping[str, Any] | None = None
    n_parameters: int | None = None
    seconds: float = 0.0
    data: Mapping[str, Sequence[float]] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    error: Mapping[str, str] | None = None
    log: str = ""
    flags: Sequence[str] = ()
    schema: int = SCHEMA

    @property
    def key(self) -> str:
        return self.trial.key

    @cached_property
    def checksum(self) -> str:
        """Of everything that the record says, 32 hex digits."""
        return digest(self.body())

    def to_json(self) -> str:
        """The file's text: sorted keys, one line, with the key of the trial and a checksum of the rest."""
        return canonical(self.body() | {"sha256": self.checksum}) + "\n"

    def body(self) -> dict[str, Any]:
        """Plain data, with the key of the trial."""
        return asdict(self) | {"key": self.key}


def parse(text: str | bytes) -> Record:
    """A record from the text of a file, believed only after every check.

    Raises:
        InvalidRecord: saying what is wrong.
    """
    raw = text.encode() if isinstance(text, str) else text
    if len(raw) > MAX_BYTES:
        raise InvalidRecord(f"{len(raw):,} bytes; at most {MAX_BYTES:,} are read")
    body = plain_json(raw, MAX_DEPTH)
    if not isinstance(body, dict):
        raise InvalidRecord(f"a {type(body).__name__}, not an object")
    if body.get("schema") != SCHEMA or type(body["schema"]) is not int:
        raise InvalidRecord(f"schema {body.get('schema')!r}; this version reads {SCHEMA}")
    checksum = body.pop("sha256", None)
    try:
        expected = digest(body)
    except ValueError as error:  # 1e999 is read as infinity, and half a surrogate pair as a character
        raise InvalidRecord(f"it holds what no record can: {error}") from error
    if checksum != expected:
        raise InvalidRecord("its checksum does not match its content")
    key = body.pop("key", None)
    record = from_body(body)
    if key != record.key:
        raise InvalidRecord("its key does not match its trial")
    vars(record)["checksum"] = checksum  # it was computed just now
    return record


def from_body(body: dict[str, Any]) -> Record:
    """A record from a parsed object, types and ranges checked."""
    trial = take(body.pop("trial", None), "trial", dict)
    names = {f.name for f in fields(Trial)}
    if set(trial) != names:
        raise InvalidRecord(f"trial has fields {sorted(set(trial) ^ names)} too many or too few")
    for name in ("task", "condition", "model", "source_hash", "algorithm", "algorithm_hash", "tuned", "draw"):
        take(trial[name], f"trial.{name}", str)
    if not TASK_ID.fullmatch(trial["task"]):
        raise InvalidRecord(f"task id {trial['task'][:80]!r} is not 'family/name'")
    for name in ("condition", "model", "algorithm"):
        if not SEGMENT.fullmatch(trial[name]):
            raise InvalidRecord(f"{name} {trial[name][:80]!r} has characters that no name has")
    for name in ("hparams", "settings", "recipe", "dose"):
        take(trial[name], f"trial.{name}", dict)
    for name, value in trial["dose"].items():
        number(value, f"trial.dose.{name}")
    if trial["left_out"] is not None:
        integer(trial["left_out"], "trial.left_out")
    if not TUNED.fullmatch(trial["tuned"]):
        raise InvalidRecord(f"tuned is {trial['tuned'][:40]!r}; expected '', 'search' or 'rule/number'")
    if trial["left_out"] is not None and trial["tuned"] != SEARCH:
        raise InvalidRecord("an environment is left out, and it is no trial of a search")
    if not number(trial["budget_scale"], "trial.budget_scale") > 0:
        raise InvalidRecord(f"budget_scale is {trial['budget_scale']}, not above 0")
    integer(trial["seed"], "trial.seed")
    number(trial["budget_scale"], "trial.budget_scale")
    names = {f.name for f in fields(Record)} - {"trial"}
    if set(body) != names:
        raise InvalidRecord(f"fields {sorted(set(body) ^ names)} are too many or too few")
    if body["status"] not in STATUSES:
        raise InvalidRecord(f"status {str(body['status'])[:40]!r}; one of {', '.join(STATUSES)}")
    for name in ("scores", "last", "anchors"):
        check_scores(body[name], name)
    check_curve(body["curve"])
    for split, values in take(body["data"], "data", dict).items():
        for value in take(values, f"data.{split}", list):
            number(value, f"data.{split}")
    number(body["seconds"], "seconds")
    integer(body["selected_step"], "selected_step")
    if body["n_parameters"] is not None:
        integer(body["n_parameters"], "n_parameters")
    for name in ("recipe", "error"):
        if body[name] is not None:
            take(body[name], name, dict)
    take(body["provenance"], "provenance", dict)
    for flag in take(body["flags"], "flags", list):
        if flag not in FLAGS:
            raise InvalidRecord(f"flag {str(flag)[:40]!r}; one of {', '.join(FLAGS)}")
    for name in ("reason", "log", "selection"):
        take(body[name], name, str)
    check_texts([body, trial])
    return Record(trial=Trial(**trial), **body | {"flags": tuple(body["flags"])})


def check_scores(value: Any, where: str) -> None:
    """{split: {metric: finite number}}."""
    for split, metrics in take(value, where, dict).items():
        for metric, score in take(metrics, f"{where}.{split}", dict).items():
            number(score, f"{where}.{split}.{metric}")
            low, high = RANGES.get(metric, (-math.inf, math.inf))
            if not low - SLACK <= score <= high + SLACK:
                raise InvalidRecord(f"{where}.{split}.{metric} is {score}, out of [{low:g}, {high:g}]")


def check_curve(value: Any) -> None:
    """[{"step": int, "loss": number or null, "scores": ...}], steps rising."""
    previous = -1
    for point in take(value, "curve", list):
        step = integer(take(point, "curve", dict).get("step"), "curve.step")
        if step <= previous:
            raise InvalidRecord("steps of the curve do not rise")
        previous = step
        if point.get("loss") is not None:
            number(point["loss"], "curve.loss")
        check_scores(point.get("scores"), "curve.scores")


def take(value: Any, where: str, kind: type) -> Any:
    """The value, if it has this type."""
    if not isinstance(value, kind):
        raise InvalidRecord(f"{where} is {type(value).__name__}, not {kind.__name__}")
    return value


def number(value: Any, where: str) -> float:
    """The value, if it is a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= sys.float_info.max:
        raise InvalidRecord(f"{where} is {str(value)[:40]!r}, not a finite number")
    return value


def integer(value: Any, where: str) -> int:
    """The value, if it is a whole number from 0 to 2^63 - 1."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        raise InvalidRecord(f"{where} is {str(value)[:40]!r}, not a whole number from 0 to 2^63 - 1")
    return value


def check_texts(value: Any) -> None:
    """No text is too long or carries control or direction-changing characters."""
    pending = [value]
    while pending:
        item = pending.pop()
        kind = type(item)  # exact, as JSON has no subclasses, and most items are numbers
        if kind is str:
            check_text(item)
        elif kind is dict:
            pending += item.keys()
            pending += item.values()
        elif kind is list:
            pending += item


def check_text(text: str) -> None:
    """One text of a record."""
    if len(text) > MAX_TEXT:
        raise InvalidRecord(f"a text of {len(text):,} characters; at most {MAX_TEXT:,}")
    if not text.isprintable() and (bad := {c for c in text if is_unsafe(c)}):
        raise InvalidRecord(f"a text with control characters {sorted(map(ascii, bad))[:4]}")


def is_unsafe(character: str) -> bool:
    """Control, format (bidirectional marks among them), private and surrogate characters; not newline and tab."""
    return unicodedata.category(character) in ("Cc", "Cf", "Co", "Cs") and character not in "\n\t"


def clean_text(text: str, limit: int = MAX_TEXT) -> str:
    """Text that may stand in a record: unsafe characters become '?', and the middle of a long text is left out."""
    safe = "".join("?" if is_unsafe(c) else c for c in text)
    if len(safe) <= limit:
        return safe
    half = limit // 2 - 10
    return f"{safe[:half]}\n[...]\n{safe[-half:]}"


def plain_json(raw: bytes, max_depth: int) -> Any:
    """JSON of strangers: not too deep, no key twice, no NaN.

    Raises:
        InvalidRecord: saying what is wrong.
    """
    if nesting(raw) > max_depth:
        raise InvalidRecord(f"nested deeper than {max_depth} levels")
    try:
        return json.loads(raw, object_pairs_hook=unique_keys, parse_constant=refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidRecord(f"not JSON: {error}") from error


def nesting(raw: bytes) -> int:
    """The deepest nesting of brackets outside strings, counted without recursion."""
    depth = deepest = 0
    for bracket in STRING.sub(b"", raw).translate(None, NOT_BRACKETS):
        if bracket in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        else:
            depth -= 1
    return deepest


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object without duplicate keys."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object has the same key twice")
    return found


def refuse_constant(name: str) -> float:
    """NaN and infinity are not JSON."""
    raise ValueError(f"{name} is not allowed")
