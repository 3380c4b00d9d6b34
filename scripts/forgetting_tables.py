"""Which classes are forgotten first, and why: all tables from the measures of all seeds.

Needs: the measures of every seed, a table of predictions (which images these are of), and the labels of the train and
the test split. Leaves: eight results tables.
"""

from dataclasses import fields
from pathlib import Path

from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.forgetting.measures import by_way
from cxrflow.forgetting.settings import ForgettingSettings
from cxrflow.forgetting.tables import ForgettingFiles, forgetting_tables, write_tables
from cxrflow.forgetting.truths import labelled_samples, predicted_truth
from cxrflow.logs import script_run

with script_run(snakemake):
    read, params = snakemake.input, snakemake.params
    predictions = Path(read.predictions[0])
    samples = labelled_samples(CohortFiles.of(read), predictions, params.uncertain)
    truth = predicted_truth(samples, predictions)
    tables = forgetting_tables(
        by_way([Path(file) for file in read.measures]),
        truth,
        samples.loc[samples["split"] == "train", list(truth.classes)].to_numpy(),
        ForgettingSettings.model_validate(params.settings),
        snakemake.wildcards.cohort,
        params.simulated,
    )
    names = [field.name for field in fields(ForgettingFiles)]
    write_tables(ForgettingFiles(*(Path(getattr(snakemake.output, name)) for name in names)), tables)
