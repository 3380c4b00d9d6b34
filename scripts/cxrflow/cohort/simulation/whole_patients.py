"""Which patients of a real table become a simulated cohort: drawn at random, with all of their images."""

import numpy as np
import pandas as pd


def whole_patients(patients: pd.Series, images: int, rng: np.random.Generator) -> pd.Series:
    """Return which rows (one per image, with its patient) are chosen: True or False.

    Patients are drawn until there are `images` of them; who would overshoot is passed over.
    """
    sizes = patients.value_counts(sort=False).sort_index()
    chosen, count = [], 0
    for place in rng.permutation(len(sizes)):
        if count + sizes.iloc[place] <= images:
            chosen.append(sizes.index[place])
            count += sizes.iloc[place]
    return patients.isin(chosen)
