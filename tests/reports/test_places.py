"""Where a finding lies: side and site, on sentences made for the purpose."""

import pandas as pd
import pytest
from tests.reports.conftest import Extractor


def place(findings: pd.DataFrame, finding: str) -> tuple[str | None, str | None]:
    row = findings[findings["finding"] == finding].iloc[0]
    return (None if pd.isna(row["side"]) else row["side"], None if pd.isna(row["site"]) else row["site"])


@pytest.mark.parametrize(
    ("text", "side"),
    [
        ("Left pleural effusion.", "left"),
        ("Small bilateral pleural effusions.", "bilateral"),
        ("Right and left pleural effusions.", "bilateral"),
        ("Pleural effusion on the right.", "right"),
        ("Effusion, left base atelectasis.", None),
        ("Pleural effusion.", None),
        ("On the right side, one sees an effusion.", "right"),
        ("Effusion, most of it on the right.", "right"),
        ("Bibasilar effusion.", "bilateral"),
        ("Effusion at the bases.", "bilateral"),
        ("Effusion at the base.", None),
        ("Right base: effusion.", "right"),
    ],
)
def test_side(extract: Extractor, text: str, side: str | None) -> None:
    assert place(extract(text)[0], "effusion")[0] == side


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Lobes and zones, before and after what lies there.
        ("Left upper lobe nodule.", ("left", "upper")),
        ("Nodule of the right middle lobe.", ("right", "middle")),
        ("A nodule is found in the lower zone of the left lung.", ("left", "lower")),
        ("Nodule in the right mid lung.", ("right", "middle")),
        ("A nodule of the upper and lower lobes.", (None, "upper")),
        ("Nodules in the upper lobes.", ("bilateral", "upper")),
        ("Nodule in the azygos lobe.", (None, "upper")),
        # The lingula is the middle zone of the left lung.
        ("Lingular nodule.", ("left", "middle")),
        # Words that are a site by themselves.
        ("Right basilar nodule.", ("right", "base")),
        ("Retrocardiac nodule.", (None, "base")),
        ("Nodule above the left costophrenic angle.", ("left", "base")),
        ("Biapical nodules.", ("bilateral", "apex")),
        ("Nodule at the right apex.", ("right", "apex")),
        ("Left perihilar nodule.", ("left", "hilum")),
        # A comma parts the place from the nodule.
        ("Nodule, probably new, left upper lobe.", ("left", "upper")),
        ("In the right upper lobe, as before, lies a nodule.", ("right", "upper")),
        # Side and site may stand on both sides of the finding.
        ("Right-sided nodule near the apex.", ("right", "apex")),
        # The nearest site is meant.
        ("Lower lobe volume is normal; left apical nodule.", ("left", "apex")),
        # No site: no word for one, or words that only look like it.
        ("Right nodule.", ("right", None)),
        ("Nodule next to the cardiac apex.", (None, None)),
        ("Nodule in the upper abdomen.", (None, None)),
        ("Nodule. Left basilar scar.", (None, None)),
    ],
)
def test_site(extract: Extractor, text: str, expected: tuple[str | None, str | None]) -> None:
    assert place(extract(text)[0], "nodule") == expected


def test_a_blunted_angle_is_at_the_base(extract: Extractor) -> None:
    assert place(extract("The right costophrenic angle is blunted.")[0], "blunted_angle") == ("right", "base")


@pytest.mark.parametrize(
    ("text", "finding", "expected"),
    [
        ("Pacemaker over the left upper lobe.", "device", ("left", None)),
        ("Left lower rib fracture, base of the lung clear.", "fracture", ("left", None)),
        ("Cardiomegaly and right basilar atelectasis.", "cardiomegaly", (None, None)),
        ("Right basilar atelectasis and cardiomegaly.", "cardiomegaly", (None, None)),
    ],
)
def test_what_lies_in_no_zone(
    extract: Extractor, text: str, finding: str, expected: tuple[str | None, str | None]
) -> None:
    assert place(extract(text)[0], finding) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Atelectasis or scarring in the left base.",
        "Left basilar atelectasis versus scarring.",
        "Left base scarring, likely atelectasis.",
        "Scarring in the left base consistent with atelectasis.",
    ],
)
def test_explanations_and_alternatives_share_their_place(extract: Extractor, text: str) -> None:
    findings = extract(text)[0]
    assert place(findings, "atelectasis") == place(findings, "scar") == ("left", "base")


def test_what_is_absent_takes_no_place_from_its_neighbour(extract: Extractor) -> None:
    assert place(extract("Left basilar atelectasis without pneumothorax.")[0], "pneumothorax") == (None, None)


def test_an_effusion_takes_the_side_of_its_neighbour_and_not_the_site(extract: Extractor) -> None:
    assert place(extract("Right upper lobe atelectasis with effusion.")[0], "effusion") == ("right", None)


def test_each_finding_has_its_own_place(extract: Extractor) -> None:
    findings = extract("Left apical pneumothorax and right lower lobe consolidation.")[0]
    assert place(findings, "pneumothorax") == ("left", "apex")
    assert place(findings, "consolidation") == ("right", "lower")
