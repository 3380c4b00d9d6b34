"""Cross-validation by patient."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxrflow.clear.tasks import Task
from cxrflow.cohort.splits import split_patients
from cxrflow.errors import UserError


def folds_of(task: Task, learnt: pd.DataFrame, folds: int, seed: int) -> NDArray[np.intp]:
    """Return the fold (n,) of each row of a task's train and validate splits; whole patients, rare labels spread.

    Raises UserError where there are fewer patients than folds.
    """
    patients = learnt["patient_id"].nunique()
    if patients < folds:
        raise UserError(
            f"The task {task.name} has {patients} patients to learn from, fewer than the {folds} folds.",
            "Set clear.downstream.aggregation.folds lower, or see which patients of its table are in the test split.",
        )
    shares = {str(fold): 1 / folds for fold in range(folds)}
    dealt = split_patients(learnt, list(task.labels), shares, seed)
    return learnt["patient_id"].map(dealt).astype(int).to_numpy(dtype=np.intp)
