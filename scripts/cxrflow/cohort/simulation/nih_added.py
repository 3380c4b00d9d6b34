"""Which rows of ChestX-ray14 get one of the five classes that NIH-CXR-LT added. These five are simulated.

Their labels are published with NIH-CXR-LT only, which no package ships. They are given to rows of the real table at
the published rates, where they are likely: air in chest wall and mediastinum escapes from a ruptured lung, chalk and
bends of the aorta come with age.
"""

import logging
from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxrflow.cohort.long_tail import ADDED_CLASSES, NIH_CLASSES, NO_FINDING
from cxrflow.cohort.simulation.nih_table import IMAGES, NO_FINDINGS

logger = logging.getLogger(__name__)

LEAST = 3  # images of different patients: one for each split
_OLD, _YEARS = 62.0, 6.0  # age about which an aorta grows long, and over how many years
_ADDED = 302

Weights = NDArray[np.float64]


def published_rate(name: str) -> float:
    """Share of the images of ChestX-ray14 that have an added class.

    It is the published number of training images over that of No Finding (44,625), times the share of No Finding in the
    whole table (60,361 of 112,120): sizes of the published splits are not needed.
    """
    return NIH_CLASSES[name] / NIH_CLASSES[NO_FINDING] * NO_FINDINGS / IMAGES


def added_counts(images: int) -> dict[str, int]:
    """Number of images of each added class among `images`: at the published rate, and at least LEAST of them.

    The log tells where a rate is raised by that.
    """
    counts = {}
    for name in ADDED_CLASSES:
        expected = published_rate(name) * images
        counts[name] = max(LEAST, round(expected))
        if round(expected) < LEAST:
            logger.info("%s: %d images instead of the %.1f at the published rate.", name, LEAST, expected)
    return counts


def with_added(classes: pd.DataFrame, patients: pd.Series, ages: pd.Series, seed: int) -> pd.DataFrame:
    """Return the classes (True or False, one row per image, a column per class) with the five added ones drawn.

    `patients` and `ages` (years) are those of the images. A row that gets one loses No Finding.
    """
    classes = classes.copy()
    counts = added_counts(len(classes))
    for number, name in enumerate(_WEIGHTS):
        rng = np.random.default_rng([seed, _ADDED, number])
        order = np.argsort(rng.exponential(size=len(classes)) / _WEIGHTS[name](classes, ages), kind="stable")
        classes[name] = False
        classes.loc[classes.index[_take(order, patients.to_numpy(), counts[name])], name] = True
    classes.loc[classes[list(ADDED_CLASSES)].any(axis="columns"), NO_FINDING] = False
    return classes


def _take(order: NDArray[np.intp], patients: NDArray[np.object_], count: int) -> list[int]:
    """Take the first `count` rows of an order, LEAST of them of different patients as far as there are so many."""
    firsts: dict[object, int] = {}
    for row in order.tolist():
        firsts.setdefault(patients[row], row)
    taken = list(firsts.values())[: min(LEAST, count)]
    rest = [row for row in order.tolist() if row not in taken]
    return (taken + rest)[:count]


def _chest_wall_air(classes: pd.DataFrame, ages: pd.Series) -> Weights:
    return 1 + 40 * _ruptured(classes)


def _mediastinal_air(classes: pd.DataFrame, ages: pd.Series) -> Weights:
    return 1 + 25 * _ruptured(classes) + 400 * classes["Subcutaneous Emphysema"].to_numpy(np.float64)


def _bent_aorta(classes: pd.DataFrame, ages: pd.Series) -> Weights:
    return 0.02 + 1 / (1 + np.exp((_OLD - ages.to_numpy(np.float64)) / _YEARS))


def _chalk(classes: pd.DataFrame, ages: pd.Series) -> Weights:
    return _bent_aorta(classes, ages) * (1 + 15 * classes["Tortuous Aorta"].to_numpy(np.float64))


def _free_air(classes: pd.DataFrame, ages: pd.Series) -> Weights:
    return np.ones(len(classes))


def _ruptured(classes: pd.DataFrame) -> Weights:
    return classes[["Emphysema", "Pneumothorax"]].any(axis="columns").to_numpy(np.float64)


# In the order in which they are drawn: later ones look at earlier ones.
_WEIGHTS: dict[str, Callable[[pd.DataFrame, pd.Series], Weights]] = {
    "Subcutaneous Emphysema": _chest_wall_air,
    "Pneumomediastinum": _mediastinal_air,
    "Tortuous Aorta": _bent_aorta,
    "Calcification of the Aorta": _chalk,
    "Pneumoperitoneum": _free_air,
}
