"""The score table of the index, computed by hand on made-up statements."""

import math
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxrflow.cohort.openi_index import FINDINGS, IndexedFinding, indexed_findings
from cxrflow.errors import UserError
from cxrflow.reports.figures import plot_index_scores
from cxrflow.reports.index_scores import OTHERS, SCORED, VALUES, score_index, score_statements, stated
from cxrflow.reports.settings import ExtractSettings


def says(finding: str, side: str | None = None, site: str | None = None) -> IndexedFinding:
    return IndexedFinding(finding, side, site, None, "")


# Opacity: right in the first two, only said in the third, only indexed in the fourth.
TRUE = [
    [says("opacity", "left", "base"), says("opacity", "right", "base")],
    [says("opacity", "left", "upper"), says("device", None, "catheter")],
    [says("scar", "left", "apex")],
    [says("opacity", "right", None)],
]
SAID = [
    [says("opacity", "bilateral", "base")],
    [says("opacity", "right", "upper"), says("opacity", "right", "hilum")],
    [says("opacity", None, "base"), says("scar")],
    [],
]


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return score_statements(TRUE, SAID, 50, 0).set_index(["kind", "name"])


def scores(table: pd.DataFrame, kind: str, name: str) -> tuple[float, ...]:
    return tuple(table.loc[(kind, name), ["precision", "recall", "f1", "n"]])


def test_findings_by_hand(table: pd.DataFrame) -> None:
    assert scores(table, "finding", "opacity") == pytest.approx((2 / 3, 2 / 3, 2 / 3, 3))
    assert scores(table, "finding", "micro") == pytest.approx((2 / 3, 2 / 3, 2 / 3, 3))
    assert scores(table, "other", "scar") == (1, 1, 1, 1)
    assert scores(table, "other", "device")[1:] == (0, 0, 1)
    assert set(table["n_patients"]) == {4}


def test_sides_by_hand(table: pd.DataFrame) -> None:
    # Left and right in the first report are one statement, bilateral. Scars are outside the thirteen.
    assert scores(table, "side", "bilateral") == (1, 1, 1, 1)
    assert scores(table, "side", "right") == (0, 0, 0, 1)
    assert scores(table, "side", "micro") == pytest.approx((1 / 2, 1 / 3, 2 / 5, 3))
    # Of the three sides two belong to opacities that were extracted; one of these is right.
    assert tuple(table.loc[("side", "micro"), ["recall_if_found", "n_found"]]) == (0.5, 2)


def test_sites_by_hand(table: pd.DataFrame) -> None:
    assert scores(table, "site", "base") == pytest.approx((1 / 2, 1, 2 / 3, 1))
    assert scores(table, "site", "micro") == pytest.approx((2 / 4, 2 / 2, 2 / 3, 2))
    assert table.loc[("site", "micro"), "recall_if_found"] == 1
    assert math.isnan(table.loc[("site", "apex"), "f1"])


def test_rows_are_every_finding_and_place_once(table: pd.DataFrame) -> None:
    assert table.index.is_unique
    assert sorted((*SCORED, *OTHERS)) == sorted(FINDINGS)
    averages = {"micro", "macro"}
    for kind, names in {"finding": SCORED, "other": OTHERS, **VALUES}.items():
        assert set(table.loc[kind].index) == {*names, *averages}


statements = st.lists(
    st.lists(
        st.builds(
            says,
            st.sampled_from(SCORED),
            st.sampled_from([None, *VALUES["side"]]),
            st.sampled_from([None, *VALUES["site"]]),
        ),
        max_size=4,
    ),
    min_size=1,
    max_size=6,
)


@given(statements)
@settings(max_examples=30, deadline=None)
def test_agreement_with_oneself_is_whole(reports: list[list[IndexedFinding]]) -> None:
    table = score_statements(reports, reports, 5, 0)
    assert set(table.loc[table["n"] > 0, "f1"]) <= {1.0}
    assert table.loc[table["n"] == 0, "f1"].isna().all()
    assert set(table.loc[table["n_found"].fillna(0) > 0, "recall_if_found"]) <= {1.0}


@given(statements)
@settings(max_examples=30, deadline=None)
def test_a_finding_has_one_side_at_most(reports: list[list[IndexedFinding]]) -> None:
    assert stated(reports).side.sum(axis=-1).max() <= 1


def test_the_index_and_the_sites_speak_one_language() -> None:
    found = indexed_findings(("Opacity/lung/lower lobe/left", "Pleural Effusion/costophrenic angle/right"))
    flags = stated([found])
    assert flags.site[0, SCORED.index("opacity"), VALUES["site"].index("lower")]
    assert flags.site[0, SCORED.index("effusion"), VALUES["site"].index("base")]


def test_the_picture_has_both_halves(tmp_path: Path) -> None:
    halves = pd.concat([score_statements(TRUE, SAID, 50, 0).assign(ids=ids) for ids in ("even", "odd")])
    outputs = [tmp_path / "scores.png", tmp_path / "scores.pdf"]
    plot_index_scores(halves, outputs)
    assert outputs[0].read_bytes().startswith(b"\x89PNG")
    assert outputs[1].read_bytes().startswith(b"%PDF")


def test_no_archive_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing"):
        score_index(ExtractSettings(), 0, 0, archive=tmp_path / "nothing.tgz")
