"""Find the exemplars: the images that the compressed ensemble reads most differently.

Needs: predictions of all seeds, and the test split's labels. Leaves: who they are, what they show more often than other
images, and how reliable the set is, as four tables.
"""

from pathlib import Path

from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.forgetting.ensembles import seed_loaders
from cxrflow.forgetting.exemplar_tables import ExemplarFiles, write_exemplars
from cxrflow.forgetting.settings import ExemplarSettings, ForgettingSettings
from cxrflow.forgetting.truths import labelled_samples, predicted_truth
from cxrflow.logs import script_run

with script_run(snakemake):
    read, made, params = snakemake.input, snakemake.output, snakemake.params
    predictions = [Path(file) for file in read.predictions]
    samples = labelled_samples(CohortFiles.of(read), predictions[0], params.uncertain)
    truth = predicted_truth(samples, predictions[0])
    write_exemplars(
        ExemplarFiles(*(Path(getattr(made, name)) for name in ("pie", "ratios", "stability", "sensitivity"))),
        seed_loaders(predictions, params.model, truth.image_ids.tolist()),
        truth,
        ExemplarSettings.model_validate(params.exemplars),
        ForgettingSettings.model_validate(params.forgetting),
        snakemake.wildcards.cohort,
        params.simulated,
    )
