"""How much the cohorts of the published studies hold (workflow/presets/paper_cohorts.yaml names them)."""

from dataclasses import dataclass


@dataclass(frozen=True)
class CohortSize:
    """What of a cohort the systems see; `reports` of images in all splits, `bags` are patients of the test split."""

    images: int
    train: int
    validate: int
    test: int
    reports: int = 0
    bags: int = 0


SIZES = {
    # The studies of NEURAL, divided as most cohorts are.
    "mimic-10k": CohortSize(images=10_000, train=7_000, validate=1_000, test=2_000, reports=10_000),
    # Frontal views of all studies; those with a long enough report are 213,364 in the train split.
    "mimic-cxr": CohortSize(images=241_000, train=213_364, validate=1_900, test=3_300, reports=228_000),
    "nih": CohortSize(images=112_120, train=78_484, validate=11_212, test=22_424),
    # Frontal views; those that experts labelled are the test split, an eighth of the others is the validate split.
    "chexpert": CohortSize(images=191_229, train=167_149, validate=23_878, test=202),
    # Slices of 4,427 patients, 70, 15 and 15 % of whom are in the published splits.
    "deeplesion": CohortSize(images=928_020, train=649_614, validate=139_203, test=139_203, bags=664),
}
NOTHING = CohortSize(0, 0, 0, 0)
"""What a job sees that is of no cohort."""
