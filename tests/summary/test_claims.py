"""Verdicts follow from intervals, and every claim finds its number in tables of the documented form."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxrflow.files import write_twins
from cxrflow.summary.claims import MISSED, NOT_RUN, REPRODUCED, SIMULATED, Claim, Finding, Place, Tables, claims_table
from cxrflow.summary.published_claims import CLAIMS

NUMBERS = st.floats(-1, 1, allow_nan=False)


def claim(measure=lambda tables: None, **about):
    return Claim("patchib", "it is better", "1 against 0", "a table", "difference", measure, **about)


@given(NUMBERS, NUMBERS, NUMBERS)
def test_a_claim_is_reproduced_exactly_where_the_whole_interval_is_on_its_side(one, two, three):
    low, value, high = sorted((one, two, three))
    found = Finding(value, low, high)
    assert (claim().verdict(found, True) == REPRODUCED) == (low > 0)
    assert (claim(side="below").verdict(found, True) == REPRODUCED) == (high < 0)


def test_a_number_without_an_interval_counts_itself_and_none_is_not_run():
    assert claim(bound=0.5).verdict(Finding(0.6), True) == REPRODUCED
    assert claim(bound=0.5).verdict(Finding(0.5), True) == MISSED
    assert claim().verdict(None, True) == NOT_RUN
    assert claim().verdict(Finding(np.nan), True) == NOT_RUN


def test_what_takes_readers_cannot_be_tested_on_simulated_images_whatever_was_measured():
    assert claim(needs_patients=True).verdict(Finding(1.0, 0.9, 1.1), True) == SIMULATED
    assert claim(needs_patients=True).verdict(Finding(1.0, 0.9, 1.1), False) == REPRODUCED


@pytest.fixture
def folder(tmp_path):
    """Tables of patchib in which C finds more reports than A, and the probe nothing."""
    rows = [
        ("C", "retrieval i2t", "", "recall@1", 0.1, 0.02, 0.2),
        ("C", "linear probe", "mean", "auroc", 0, -0.1, 0.1),
    ]
    columns = ["model", "task", "label", "metric", "value", "low", "high"]
    table = pd.DataFrame(rows, columns=columns).assign(embedding="own", against="A", n_patients=40)
    (tmp_path / "patchib").mkdir()
    write_twins(tmp_path / "patchib/differences.csv", table)
    write_twins(tmp_path / "patchib/efficiency.csv", pd.DataFrame({"model": ["A", "D"], "macs": [8.0, 10.0]}))
    return tmp_path


def test_the_table_holds_every_claim_of_the_systems_of_a_cohort(folder):
    table = claims_table(Place("here", folder, True, ["patchib"]), CLAIMS).set_index("claim")
    assert len(table) == sum(claim.system == "patchib" for claim in CLAIMS)
    assert table.loc["a learnt mask finds more reports", "verdict"] == REPRODUCED
    assert table.loc["a learnt mask finds more reports", "n_patients"] == 40
    assert table.loc["masked embeddings tell findings better", "verdict"] == MISSED
    assert table.loc["local alignment finds more reports", "verdict"] == NOT_RUN
    assert table.loc["selecting patches (D) is faster than reading all (A)", "value"] == pytest.approx(0.8)


def test_a_cohort_without_a_table_measures_nothing(tmp_path):
    table = claims_table(Place("here", tmp_path, True, [claim.system for claim in CLAIMS]), CLAIMS)
    assert set(table["verdict"]) == {NOT_RUN, SIMULATED}
    assert table["value"].isna().all()


def test_rows_are_found_by_value_and_a_missing_column_finds_none(folder):
    tables = Tables(folder / "patchib")
    assert len(tables.find("differences", model="C", metric="auroc")) == 1
    assert tables.find("differences", seed=0).empty
