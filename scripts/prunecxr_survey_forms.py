"""Make blank forms for a reader survey: exemplars and other images in random order, and the key.

Needs: the table of exemplars, the canonical tables, the largest image store, a table of predictions (for its classes).
Leaves: a folder with the forms, the images under names that tell nothing, and key.csv, which readers must not get.
"""

from pathlib import Path

import pandas as pd

from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.forgetting.truths import labelled_samples, predicted_truth
from cxrflow.logs import script_run
from cxrflow.prunecxr.survey_forms import write_forms
from cxrflow.prunecxr.survey_settings import SurveySettings

with script_run(snakemake):
    read, params = snakemake.input, snakemake.params
    cohort, predictions = CohortFiles.of(read), Path(read.predictions)
    truth = predicted_truth(labelled_samples(cohort, predictions, params.uncertain), predictions)
    settings = SurveySettings.model_validate(params.settings)
    write_forms(Path(snakemake.output.folder), pd.read_parquet(read.pie), truth, cohort.store(), settings)
