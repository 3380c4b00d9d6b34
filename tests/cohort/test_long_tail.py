from pathlib import Path

from cxrflow.cohort.labels import CHEXPERT_LABELS
from cxrflow.cohort.long_tail import ADDED_CLASSES, MIMIC_CLASSES, NIH_CLASSES, PARTS, label_file
from cxrflow.cohort.tables import SPLITS


def test_the_sets_have_20_and_19_classes_from_the_most_to_the_least_frequent() -> None:
    for classes, size in ((NIH_CLASSES, 20), (MIMIC_CLASSES, 19)):
        assert len(classes) == size
        assert list(classes.values()) == sorted(classes.values(), reverse=True)


def test_mimic_cxr_lt_is_the_14_labels_of_the_labeler_and_the_five_added_ones() -> None:
    assert set(MIMIC_CLASSES) == {*CHEXPERT_LABELS, *ADDED_CLASSES}
    assert set(ADDED_CLASSES) < set(NIH_CLASSES)


def test_the_three_parts_are_the_three_splits_under_published_names() -> None:
    assert tuple(PARTS.values()) == SPLITS
    assert label_file(Path("labels"), "nih-cxr-lt", "val") == Path("labels/miccai2023_nih-cxr-lt_labels_val.csv")
