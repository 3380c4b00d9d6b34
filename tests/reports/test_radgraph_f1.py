import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.reports.radgraph_samples import EFFUSION, annotation

from cxrflow.errors import UserError
from cxrflow.reports.radgraph_agreement import agreement_table, marked_reports, write_agreement
from cxrflow.reports.radgraph_f1 import (
    Agreement,
    corpus_f1,
    entity_agreement,
    micro,
    relation_agreement,
    report_f1,
    scores,
)
from cxrflow.reports.settings import ExtractSettings

TEXT = "small left pleural effusion"
REFERENCE = annotation(
    TEXT,
    ("small", "OBS-DP", [("modify", 4)]),
    ("left", "ANAT-DP", [("modify", 3)]),
    ("pleural", "ANAT-DP", []),
    ("effusion", "OBS-DP", [("located_at", 3)]),
)
# Two entities agree (left, effusion); 'small' is missed; 'pleural' has another label, and its relations fall with it.
CANDIDATE = annotation(
    TEXT,
    ("left", "ANAT-DP", [("modify", 3)]),
    ("pleural", "OBS-DP", []),
    ("effusion", "OBS-DP", [("modify", 2)]),
)
NOTHING = annotation(TEXT)
GRAPHS = [REFERENCE, CANDIDATE, NOTHING, EFFUSION]


def test_entities_by_hand() -> None:
    counts = entity_agreement(CANDIDATE, REFERENCE)
    assert counts["micro"] == Agreement(true=2, false=1, missed=2)
    assert counts["ANAT-DP"] == Agreement(1, 0, 1)
    assert counts["OBS-DP"] == Agreement(1, 1, 1)
    assert counts["OBS-U"] == Agreement(0, 0, 0)
    assert scores(counts["micro"]) == pytest.approx((2 / 3, 1 / 2, 4 / 7))


def test_relations_by_hand() -> None:
    candidate = annotation(
        TEXT, ("left", "ANAT-DP", [("modify", 3)]), ("pleural", "ANAT-DP", []),
        ("effusion", "OBS-DP", [("located_at", 2)]),
    )  # fmt: skip
    counts = relation_agreement(candidate, REFERENCE)
    assert counts["located_at"] == Agreement(1, 0, 0)
    assert counts["modify"] == Agreement(0, 1, 2)  # 'left' modifies another entity, 'small' nothing
    assert counts["micro"] == Agreement(1, 1, 2)
    assert relation_agreement(CANDIDATE, REFERENCE)["micro"] == Agreement(0, 2, 3)


def test_a_relation_falls_with_the_label_of_its_end() -> None:
    other = annotation("left effusion", ("left", "ANAT-DP", []), ("effusion", "OBS-U", [("located_at", 1)]))
    same = annotation("left effusion", ("left", "ANAT-DP", []), ("effusion", "OBS-DP", [("located_at", 1)]))
    assert relation_agreement(other, same)["micro"] == Agreement(0, 1, 1)
    assert relation_agreement(same, same)["micro"] == Agreement(1, 0, 0)


def test_counts_of_reports_add_up() -> None:
    assert micro([Agreement(1, 2, 3), Agreement(10, 20, 30)]) == Agreement(11, 22, 33)
    assert micro([]) == Agreement(0, 0, 0)


@pytest.mark.parametrize(("reward", "f1"), [("entity", 2 / 3), ("partial", 1 / 3), ("complete", 0.0)])
def test_two_reports_by_hand(reward: Any, f1: float) -> None:
    # Three facts each. By words and label 'effusion' and 'left' agree: 2 of 3. In the candidate 'left' has no relation:
    # 1 of 3. And 'effusion' is located elsewhere: 0 of 3.
    ours = annotation(
        "There is a LEFT effusion of the base", ("LEFT", "ANAT-DP", []),
        ("effusion", "OBS-DP", [("located_at", 3)]), ("base", "ANAT-DP", []),
    )  # fmt: skip
    theirs = annotation(
        "left pleural effusion", ("left", "ANAT-DP", [("modify", 2)]), ("pleural", "ANAT-DP", []),
        ("effusion", "OBS-DP", [("located_at", 2)]),
    )  # fmt: skip
    assert report_f1(ours, theirs, reward) == pytest.approx(f1)


def test_the_order_of_words_between_entities_does_not_matter() -> None:
    other = annotation(
        "effusion , pleural , left",
        ("effusion", "OBS-DP", [("located_at", 2)]), ("pleural", "ANAT-DP", []), ("left", "ANAT-DP", [("modify", 2)]),
    )  # fmt: skip
    same = annotation(
        "left pleural effusion", ("left", "ANAT-DP", [("modify", 2)]), ("pleural", "ANAT-DP", []),
        ("effusion", "OBS-DP", [("located_at", 2)]),
    )  # fmt: skip
    assert report_f1(other, same, "complete") == 1.0


@pytest.mark.parametrize("reward", ["entity", "partial", "complete"])
def test_empty_graphs(reward: Any) -> None:
    assert report_f1(NOTHING, REFERENCE, reward) == report_f1(REFERENCE, NOTHING, reward) == 0.0
    assert report_f1(NOTHING, NOTHING, reward) == 1.0


@given(st.sampled_from(GRAPHS), st.sampled_from(GRAPHS), st.sampled_from(["entity", "partial", "complete"]))
def test_f1_is_symmetric_and_one_with_itself(one: Any, other: Any, reward: Any) -> None:
    assert 0.0 <= report_f1(one, other, reward) <= 1.0
    assert report_f1(one, other, reward) == report_f1(other, one, reward)
    assert report_f1(one, one, reward) == 1.0


def test_the_corpus_is_the_mean_of_its_reports() -> None:
    assert corpus_f1([REFERENCE, NOTHING], [REFERENCE, REFERENCE]) == 0.5
    with pytest.raises(ValueError, match="no reports"):
        corpus_f1([], [])


# --- RadGraph's test part -------------------------------------------------------------------------------------------


def two_labelers(folder: Path) -> Path:
    """Write two reports: the first labeler says of both what the rules say; the second misses all of the second."""
    marked = annotation(
        "Small left effusion .", ("Small", "OBS-DP", [("modify", 3)]), ("left", "ANAT-DP", []),
        ("effusion", "OBS-DP", [("located_at", 2)]),
    )  # fmt: skip
    text, none = marked["text"], annotation(marked["text"])
    content = {
        "p10/p10000000/s50000001.txt": {"text": text, "labeler_1": marked, "labeler_2": marked},
        "train/patient00001/study1": {
            "text": text,
            "labeler_1": {"entities": marked["entities"], "data_source": "CheXpert"},
            "labeler_2": {"entities": none["entities"], "data_source": "CheXpert"},
        },
    }
    (folder / "test.json").write_text(json.dumps(content))
    return folder / "test.json"


def test_the_rules_mark_the_words_as_they_were_cut(tmp_path: Path) -> None:
    text = "A nodule of 2 . 5 cm , no x-ray effusion ."
    content = {
        "p10/p10000000/s50000001.txt": {"text": text, "labeler_1": {"entities": {}}, "labeler_2": {"entities": {}}}
    }
    (tmp_path / "test.json").write_text(json.dumps(content))
    (report,) = marked_reports(tmp_path / "test.json", ExtractSettings())
    assert report.graphs["rules"]["text"] == text
    labels = {at["tokens"]: (at["start_ix"], at["label"]) for at in report.graphs["rules"]["entities"].values()}
    assert labels["nodule"] == (1, "OBS-DP")
    assert labels["effusion"] == (10, "OBS-DA")


def test_agreement_by_source_and_annotator(tmp_path: Path) -> None:
    table = agreement_table(marked_reports(two_labelers(tmp_path), ExtractSettings()), resamples=200, seed=0)
    table = table.set_index(["source", "annotator", "reference", "kind", "label"])
    assert set(table.index.get_level_values("source")) == {"MIMIC-CXR", "CheXpert", "all"}
    rules = table.loc["all", "rules", "labeler_1", "entity", "micro"]
    assert (rules["precision"], rules["recall"], rules["f1"], rules["n"], rules["n_reports"]) == (1, 1, 1, 6, 2)
    assert table.loc[("all", "rules", "labeler_1", "relation", "micro"), "f1"] == 1
    second = table.loc["all", "rules", "labeler_2", "entity", "micro"]
    assert (second["precision"], second["recall"], second["f1"]) == pytest.approx((1 / 2, 1, 2 / 3))
    assert second["f1_low"] <= second["f1"] <= second["f1_high"]
    missed = table.loc["CheXpert", "labeler_2", "labeler_1", "entity", "OBS-DP"]
    assert (missed["recall"], missed["f1"], missed["n"]) == (0, 0, 2)
    assert np.isnan(table.loc[("all", "rules", "labeler_1", "entity", "OBS-U"), "f1"])


def test_the_written_twins_agree(tmp_path: Path) -> None:
    write_agreement(two_labelers(tmp_path), tmp_path / "agreement.csv", ExtractSettings(), 0, 0)
    csv, parquet = pd.read_csv(tmp_path / "agreement.csv"), pd.read_parquet(tmp_path / "agreement.parquet")
    pd.testing.assert_frame_equal(csv, parquet, check_dtype=False)
    assert csv["f1_low"].isna().all()


def test_a_part_with_one_annotator_is_told(tmp_path: Path) -> None:
    (tmp_path / "train.json").write_text(json.dumps({"p10/p10000000/s50000001.txt": EFFUSION}))
    with pytest.raises(UserError, match=r"test\.json"):
        marked_reports(tmp_path / "train.json", ExtractSettings())
