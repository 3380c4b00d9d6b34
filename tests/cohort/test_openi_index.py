import pytest

from cxrflow.cohort.labels import CHEXPERT_LABELS
from cxrflow.cohort.openi_index import (
    FINDINGS,
    LABEL_OF,
    IndexedFinding,
    indexed_findings,
    is_indexed,
    is_normal,
)


@pytest.mark.parametrize(
    ("path", "finding", "side", "site", "severity"),
    [
        ("Opacity/lung/base/left/streaky", "opacity", "left", "base", None),
        ("Cardiomegaly/mild", "cardiomegaly", None, None, "mild"),
        ("Cardiac Shadow/enlarged/severe", "cardiomegaly", None, None, "severe"),
        ("Calcified Granuloma/lung/upper lobe/right", "granuloma", "right", "upper", None),
        ("Granuloma/lung/lingula", "granuloma", "left", "middle", None),
        ("Pleural Effusion/bilateral/small", "effusion", "bilateral", None, "mild"),
        ("Pneumothorax/apex/right/moderate", "pneumothorax", "right", "apex", "moderate"),
        ("Catheters, Indwelling/right", "device", "right", "catheter", None),
        ("Subcutaneous  Emphysema/right", "subcutaneous_emphysema", "right", None, None),
        ("Hernia, Hiatal/large", "hernia", None, None, "severe"),
    ],
)
def test_a_path_gives_its_finding(
    path: str, finding: str, side: str | None, site: str | None, severity: str | None
) -> None:
    assert indexed_findings((path,)) == [IndexedFinding(finding, side, site, severity, path)]


def test_a_hydropneumothorax_is_fluid_and_air() -> None:
    assert {found.finding for found in indexed_findings(("Hydropneumothorax/right",))} == {"effusion", "pneumothorax"}


@pytest.mark.parametrize(
    "path", ["normal", "Pericardial Effusion", "Subcutaneous Emphysema/neck", "Mass/breast/large", "Cardiac Shadow"]
)
def test_what_is_not_of_the_lung_or_pleura_is_not_taken_for_it(path: str) -> None:
    lung = {"effusion", "emphysema", "mass", "cardiomegaly"}
    assert not lung & {found.finding for found in indexed_findings((path,))}


def test_not_indexed_is_not_normal() -> None:
    assert is_normal(("normal",))
    assert is_indexed(("normal",))
    assert not is_indexed(("No Indexing",))
    assert not is_indexed(())


def test_labels_are_those_of_the_label_tables() -> None:
    assert set(LABEL_OF) == set(FINDINGS)
    assert {label for labels in LABEL_OF.values() for label in labels} == set(CHEXPERT_LABELS) - {"No Finding"}
    assert LABEL_OF["pneumonia"] == ("Pneumonia", "Lung Opacity")
