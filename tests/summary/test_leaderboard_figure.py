"""The leaderboard is drawn whatever a cohort has."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cxrflow.summary.leaderboard_figure import plot_leaderboard

NAME = {"system": "neural", "trained_on": "here", "encoder": "whole radiograph"}
COMMON = {
    "cohort": "here",
    "simulated": True,
    "n_patients": 9,
    "n_seeds": 1,
    "label": "",
    "low": np.nan,
    "high": np.nan,
}
COST = {**COMMON, **NAME, "task": "cost", "metric": "macs", "value": 1e6}
PROBED = {**COMMON, **NAME, "task": "linear probe", "label": "mean", "metric": "auroc", "value": 0.7}


@pytest.mark.filterwarnings("error:Attempting to set identical")
@pytest.mark.parametrize("rows", [[COST], [COST, PROBED], [PROBED]], ids=["no label", "both", "no cost"])
def test_a_figure_is_drawn_where_no_label_can_be_learnt_and_where_no_cost_is_known(rows, tmp_path):
    plot_leaderboard(pd.DataFrame(rows), [tmp_path / "leaderboard.png"], "radiographs")
    with Image.open(tmp_path / "leaderboard.png") as picture:
        assert picture.width > 1000
