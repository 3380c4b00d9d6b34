"""The real Open-I reports against their human index. The lexicon was tuned on even report numbers only."""

import pandas as pd
import pytest

from cxrflow.cohort.openi import installed_archive, read_openi
from cxrflow.cohort.openi_index import indexed_findings, is_indexed
from cxrflow.reports.index_scores import HALVES, SCORED, write_index_scores
from cxrflow.reports.settings import ExtractSettings

FLOOR_MICRO_F1 = 0.90
FLOOR_F1 = 0.75
FLOOR_PLACE_F1 = 0.80
FEWEST = 12


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    target = tmp_path_factory.mktemp("scores") / "index_scores.csv"
    write_index_scores(target, ExtractSettings(), resamples=200, seed=0, workers=2)
    csv, parquet = pd.read_csv(target), pd.read_parquet(target.with_suffix(".parquet"))
    pd.testing.assert_frame_equal(csv, parquet, check_dtype=False)
    return csv


@pytest.fixture(scope="module")
def unseen(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["ids"] == "odd"].set_index(["kind", "name"])


def test_micro_f1_on_unseen_reports(unseen: pd.DataFrame) -> None:
    assert unseen.loc[("finding", "micro"), "f1"] >= FLOOR_MICRO_F1


def test_no_finding_is_left_behind(unseen: pd.DataFrame) -> None:
    assert unseen.loc["finding"].loc[list(SCORED), "f1"].min() >= FLOOR_F1


def test_places_are_mostly_right(unseen: pd.DataFrame) -> None:
    assert unseen.loc[[("side", "micro"), ("site", "micro")], "f1"].min() >= FLOOR_PLACE_F1


def test_each_scored_finding_is_common_enough(table: pd.DataFrame) -> None:
    rows = table[(table["kind"] == "finding") & table["name"].isin(SCORED)]
    assert len(rows) == len(SCORED) * len(HALVES)
    assert rows["n"].min() >= FEWEST


def test_n_is_what_people_indexed(unseen: pd.DataFrame) -> None:
    odd = [each for each in read_openi(installed_archive()) if int(each.uid) % 2 and is_indexed(each.index)]
    named = {(each.uid, found.finding) for each in odd for found in indexed_findings(each.index)}
    assert set(unseen["n_patients"]) == {len(odd)}
    assert unseen.loc[("finding", "micro"), "n"] == sum(finding in SCORED for _, finding in named)


def test_intervals_hold_their_scores(table: pd.DataFrame) -> None:
    known = table[table["f1_low"].notna()]
    assert len(known) > 2 * len(SCORED)
    assert (known["f1_low"] <= known["f1"]).all()
    assert (known["f1"] <= known["f1_high"]).all()
