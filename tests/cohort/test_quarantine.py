import pandas as pd
import pytest

from cxrflow.cohort.quarantine import Quarantine
from cxrflow.errors import UserError

ROW = {"file": "a.csv", "row": 7, "rule": "rule", "reason": "broken"}


@pytest.fixture
def refused():
    quarantine = Quarantine("rule")
    quarantine.add("a.csv", "7", "broken")
    return quarantine


def test_a_tolerated_share_of_refused_rows_is_written(refused, tmp_path):
    refused.settle(tmp_path / "few.csv", 100, "quarantine", 0.05)
    assert pd.read_csv(tmp_path / "few.csv").to_dict("records") == [ROW]


@pytest.mark.parametrize(("total", "policy"), [(10, "quarantine"), (100, "fail")])
def test_too_many_refused_rows_end_the_run_and_stay_beside_the_output_that_is_not_made(
    refused, tmp_path, total, policy
):
    with pytest.raises(UserError, match=r"tolerated share.*failed_rows.csv.*\nHint"):
        refused.settle(tmp_path / "rows.csv", total, policy, 0.05)
    assert not (tmp_path / "rows.csv").exists()
    assert pd.read_csv(tmp_path / "failed_rows.csv").to_dict("records") == [ROW]


def test_the_list_of_a_failed_run_goes_when_a_later_run_is_fine(refused, tmp_path):
    with pytest.raises(UserError):
        refused.settle(tmp_path / "rows.csv", 1, "quarantine", 0.05)
    refused.settle(tmp_path / "rows.csv", 100, "quarantine", 0.05)
    assert not (tmp_path / "failed_rows.csv").exists()
