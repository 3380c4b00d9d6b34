"""The slices of a cohort, patient after patient and in the order of the scan."""

import pandas as pd

from cxrflow.cohort.cohort_files import CohortFiles

_NUMBER = r"^(.*?)(\d+)\D*$"  # what comes before the last number of an image's id, and that number


def slices_in_order(cohort: CohortFiles) -> pd.DataFrame:
    """Return the decoded slices (image_id, patient_id, study_id, split, boxes, height, width), patient after patient.

    Studies of a patient follow each other, and so do the series of a study, slices by their number.
    """
    slices = cohort.samples([], "zero")
    named = slices["image_id"].str.extract(_NUMBER)
    place = slices.assign(series=named[0].fillna(slices["image_id"]), number=pd.to_numeric(named[1]).fillna(0))
    ordered = place.sort_values(["patient_id", "study_id", "series", "number", "image_id"], ignore_index=True)
    return ordered.drop(columns=["series", "number", "view"])
