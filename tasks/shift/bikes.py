"""How many bicycles are hired in an hour, learned on working days and asked on free ones.

An hour is described by the clock, the season and the weather; what kind of day it is, is not told:

    hour 8, temperature .24, felt .29, humidity .81, wind 0, spring, clear   -> log(1 + hires)

On working days demand has two peaks, on the way to work and back; on week-ends and holidays one, in the afternoon.
Weather acts alike on both.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from tasks.registry import Entry
from tasks.seeds import Draw
from tasks.sources.table_shift import Parts, TableShift
from tasks.sources.tables import Examples, Table, first_of_each, indicators, numbers, read
from tasks.types import Budget, Problem, Recipe, Source, Split, Task, TaskSpec

ENTRIES = {
    "shift/bikes-v1": {
        "summary": "bicycle hires by hour and weather, learned on working days, asked on free days",
        "input": "vector",
        "tags": ["real", "regression", "environments"],
    },
}

NUMBERS = ("hr", "temp", "atemp", "hum", "windspeed")
SEASONS = ("1", "2", "3", "4")
WEATHER = ("clear", "cloudy/misty", "light rain/snow")
WORST = "heavy rain/snow"  # a single hour of the year: counted as light rain or snow
TABLE = Table(
    package="ISLP",
    requirement="ISLP==0.6.0",
    path="data/Bikeshare.csv",
    columns=(*NUMBERS, "season", "weathersit", "day", "workingday", "bikers"),
    sha256="18cdd74a61773b023daccfccbb286316e768980c23cbcc25fe03b741700bd526",
)
N_INPUTS = len(NUMBERS) + len(SEASONS) + len(WEATHER)
N_TRAIN, N_VAL, N_IID, N_OOD = 4_000, 500, 1_200, 2_686
REFERENCE = 0.8912

FANAEE = Source(
    key="fanaee2014event",
    authors="Hadi Fanaee-T and Joao Gama",
    title="Event labeling combining ensemble detectors and background knowledge",
    venue="Progress in Artificial Intelligence 2(2-3); the UCI bike sharing data of 2013",
    year=2014,
    url="https://doi.org/10.1007/s13748-013-0040-3",
)
ISLP_BOOK = Source(
    key="james2023introduction",
    authors="Gareth James, Daniela Witten, Trevor Hastie, Robert Tibshirani and Jonathan Taylor",
    title="An Introduction to Statistical Learning with Applications in Python",
    venue="Springer; data `Bikeshare`, the year 2011",
    year=2023,
    url="https://www.statlearning.com",
)


@cache
def hours() -> tuple[Examples, Examples]:
    """One hour of every distinct description: those of working days (5,821), those of free days (2,686)."""
    columns = read(TABLE)
    weather = np.where(columns["weathersit"] == WORST, WEATHER[-1], columns["weathersit"])
    measured = [numbers(columns[name]) for name in NUMBERS]
    x = np.stack([*measured, *indicators(columns["season"], SEASONS), *indicators(weather, WEATHER)], axis=1)
    kept = first_of_each(x)
    day = numbers(columns["day"]).astype(np.int64)
    season = np.array([SEASONS.index(name) for name in columns["season"]])
    every = Examples(x, np.log1p(numbers(columns["bikers"])), day, season, n_numbers=len(NUMBERS)).take(kept)
    working = columns["workingday"][kept] == "1"
    return every.take(working), every.take(~working)


def working_to_free(draw: Draw) -> Parts:
    """Learn on working days, test on free ones."""
    working, free = hours()
    return Parts(working, {"ood": free})


NOTES = (
    "Inputs: hour (0-23, as one number), temperature, felt temperature, humidity and wind speed (scaled to [0, 1] by "
    "the source), standardised with the training examples' mean and standard deviation; four indicators of the season, "
    "three of the weather (the one hour of heavy rain counts as light rain). Left out: month, date, weekday, holiday, "
    "working day. Target: log(1 + hires), standardised. All of 2011 in Washington, D.C.",
    "The environments are the four seasons. The season is among the inputs, and a free day is not a fifth one: what is "
    "the same in all of them need not hold there.",
    "Whole days are dealt into training, validation and test, since the hours of a day share its weather.",
    "Of hours with equal inputs the first is kept: 8,507 of 8,645.",
    "The hour is one number, so a linear model has a slope for the day and cannot see commuters; it fits badly and "
    "loses nothing. With indicators of the hour it would learn their peaks, and lose by them (R2 .93 -> .36).",
    "R2 is relative to the variance on each split, so 0 is the best constant there.",
    "Every seed deals the same days anew, and tests out of distribution on the same ones.",
    "The ceiling is boosting trained on free days, not the truth.",
)


def build(entry: Entry) -> Task:
    spec = TaskSpec(
        entry=entry,
        question=(
            "The clock predicts hires in one way on working days and in another on free ones: does the model that "
            "learns the working day best do worst on the others?"
        ),
        problem=Problem("vector", (N_INPUTS,), "values", n_outputs=1, n_train=N_TRAIN),
        splits=(
            Split("train", "train", N_TRAIN, {"days": "working"}),
            Split("val", "val", N_VAL, {"days": "working"}),
            Split("iid", "iid", N_IID, {"days": "working"}),
            Split("ood", "ood", N_OOD, {"days": "free"}),
        ),
        budget=Budget(steps=2000, batch_size=128),
        recipe=Recipe(optimizer="adam", learning_rate=1e-3, schedule="cosine"),
        metric="r2",
        floor="constant",
        ceiling="reference",
        gate=0.3,
        constants={"ood": {"constant": 0.0, "reference": REFERENCE}},
        sources=(FANAEE, ISLP_BOOK),
        licence="UCI bike sharing data, CC BY 4.0 (hires from Capital Bikeshare); read from the package ISLP (BSD)",
        notes=NOTES,
    )
    return TableShift(spec, working_to_free)
