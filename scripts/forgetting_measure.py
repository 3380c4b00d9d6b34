"""Measure one seed's predictions at every level of compression, on the test split and its resamples of patients.

Needs: that seed's predictions, the labels and the split; for thresholds chosen on the validate split its predictions
there. Leaves: one npz with all metrics of all ways to compress.
"""

from pathlib import Path

import numpy as np

from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.forgetting.measures import measure_seed, save_measures, validated_thresholds
from cxrflow.forgetting.settings import ForgettingSettings
from cxrflow.forgetting.truths import labelled_samples, predicted_truth
from cxrflow.logs import script_run

with script_run(snakemake):
    read, params = snakemake.input, snakemake.params
    predictions, validation = (
        [Path(file) for file in getattr(read, name, [])] for name in ("predictions", "validation")
    )
    samples = labelled_samples(CohortFiles.of(read), predictions[0], params.uncertain)
    thresholds = np.nan
    if validation:
        thresholds = validated_thresholds(validation, predicted_truth(samples, validation[0], "validate"))
    truth = predicted_truth(samples, predictions[0])
    settings = ForgettingSettings.model_validate(params.settings)
    save_measures(Path(snakemake.output.measures), measure_seed(predictions, truth, params.ways, settings, thresholds))
