"""Is this penguin male? Learned on two islands of the Palmer Archipelago, asked on the third.

Four measurements tell the sex, in a way that depends on the species, which is not told:

    bill 39.1 mm long and 18.7 mm deep, flipper 181 mm, body mass 3,750 g   -> male

Torgersen and Dream have Adelie and Chinstrap penguins. Biscoe has Adelie and the larger Gentoo with its flatter bill:
most Gentoo females are heavier than nearly all males of the other species.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from tasks.registry import Entry
from tasks.seeds import Draw
from tasks.sources.table_shift import Parts, TableShift
from tasks.sources.tables import Examples, Table, numbers, read
from tasks.types import Budget, Problem, Recipe, Source, Split, Task, TaskSpec

ENTRIES = {
    "shift/penguins-v1": {
        "summary": "the sex of penguins by four measurements, learned on two islands, asked on a third",
        "input": "vector",
        "tags": ["real", "classification", "environments"],
    },
}

MEASUREMENTS = ("bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g")
SEXES = ("female", "male")
ISLANDS = ("Torgersen", "Dream", "Biscoe")
TABLE = Table(
    package="palmerpenguins",
    requirement="palmerpenguins==0.1.6",
    path="data/penguins.csv",
    columns=("species", "island", "sex", *MEASUREMENTS),
    sha256="f234f4371d8e7350d21fd9e61882ed44063a48c50db57f82520b092fab8d8027",
)
N_TRAIN, N_VAL, N_IID = 105, 25, 40
N_BISCOE, N_ADELIE, N_GENTOO = 163, 44, 119
REFERENCE = 0.9097

HORST = Source(
    key="horst2020palmerpenguins",
    authors="Allison Marie Horst, Alison Presmanes Hill and Kristen B. Gorman",
    title="palmerpenguins: Palmer Archipelago (Antarctica) penguin data",
    venue="R package",
    year=2020,
    url="https://doi.org/10.5281/zenodo.3960218",
)
GORMAN = Source(
    key="gorman2014ecological",
    authors="Kristen B. Gorman, Tony D. Williams and William R. Fraser",
    title="Ecological sexual dimorphism and environmental variability within a community of Antarctic penguins "
    "(genus Pygoscelis)",
    venue="PLOS ONE 9(3): e90081",
    year=2014,
    url="https://doi.org/10.1371/journal.pone.0090081",
)


@cache
def islands() -> Parts:
    """The 333 penguins whose sex is known: 170 of Torgersen and Dream, 163 of Biscoe, and those by species."""
    columns = read(TABLE)
    sexed = np.isin(columns["sex"], SEXES)
    species, island = columns["species"][sexed], columns["island"][sexed]
    x = np.stack([numbers(columns[name][sexed]) for name in MEASUREMENTS], axis=1)
    male = (columns["sex"][sexed] == "male").astype(np.float64)
    env = np.array([ISLANDS.index(name) for name in island])
    every = Examples(x, male, np.arange(len(x)), env, n_numbers=len(MEASUREMENTS))
    biscoe = island == "Biscoe"
    return Parts(
        every.take(~biscoe),
        {
            "biscoe": every.take(biscoe),
            "biscoe-adelie": every.take(biscoe & (species == "Adelie")),
            "biscoe-gentoo": every.take(biscoe & (species == "Gentoo")),
        },
    )


def torgersen_and_dream_to_biscoe(draw: Draw) -> Parts:
    """Learn on two islands, test on the third; the same penguins for every draw."""
    return islands()


NOTES = (
    "Inputs: bill length and depth (mm), flipper length (mm) and body mass (g), standardised with the training "
    "examples' mean and standard deviation. Label: 1 is male. Eleven penguins of unknown sex are left out; species, "
    "island and year are not among the inputs.",
    "The environments are the two islands of training. Torgersen has a quarter of the penguins and Adelie alone.",
    "The probes take Biscoe apart: its Adelie penguins are of a species that was seen, and show the island alone; its "
    "Gentoo penguins (73 % of Biscoe) are of one that was not.",
    "Few penguins: an accuracy of .9 has a standard error of .05 on the in-distribution test and of .02 on Biscoe, "
    "whose penguins are the same for every seed. Compare models over several seeds.",
    "The ceiling is a support vector machine trained on two thirds of Biscoe's penguins, averaged over divisions. It "
    "sees few examples too: a linear model from the other islands can come up to it.",
)


def build(entry: Entry) -> Task:
    seen = {"islands": ["Torgersen", "Dream"]}
    spec = TaskSpec(
        entry=entry,
        question=(
            "Sex shows in the shape of the body within each species; does a model that never saw Gentoo penguins carry "
            "the direction over, or the thresholds?"
        ),
        problem=Problem("vector", (len(MEASUREMENTS),), "classes", n_outputs=2, n_train=N_TRAIN),
        splits=(
            Split("train", "train", N_TRAIN, seen),
            Split("val", "val", N_VAL, seen),
            Split("iid", "iid", N_IID, seen),
            Split("biscoe", "ood", N_BISCOE, {"islands": ["Biscoe"]}),
            Split("biscoe-adelie", "probe", N_ADELIE, {"islands": ["Biscoe"], "species": "Adelie"}),
            Split("biscoe-gentoo", "probe", N_GENTOO, {"islands": ["Biscoe"], "species": "Gentoo"}),
        ),
        budget=Budget(steps=500, batch_size=32),
        recipe=Recipe(optimizer="adam", learning_rate=1e-3, weight_decay=0.0),
        metric="accuracy",
        floor="chance",
        ceiling="reference",
        gate=0.7,
        constants={"biscoe": {"chance": 0.5, "reference": REFERENCE}},
        sources=(HORST, GORMAN),
        licence="CC0 (Palmer Station Antarctica LTER and K. Gorman); read from the package palmerpenguins (MIT)",
        notes=NOTES,
    )
    return TableShift(spec, torgersen_and_dream_to_biscoe)
