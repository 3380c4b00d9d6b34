"""Train all aggregators on the features of one encoder and seed: tasks, shares of labels and folds.

Needs: the features, manifest, split, image index, and the csv of tasks where they name one. Leaves: predictions and
attention. An interrupted run goes on where it was.
"""

from pathlib import Path

from cxrflow.clear.downstream import AggregatedFiles, EncoderSeed, aggregate
from cxrflow.clear.downstream_settings import AggregationSettings, TaskSettings
from cxrflow.clear.feature_store import FeatureStore
from cxrflow.clear.tasks import read_tasks
from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.logs import script_run

with script_run(snakemake):
    read, made, params = snakemake.input, snakemake.output, snakemake.params
    cohort = CohortFiles.of(read)
    tasks = {name: TaskSettings.model_validate(about) for name, about in params.tasks.items()}
    aggregate(
        FeatureStore.open(Path(read.features), Path(read.features_index)),
        read_tasks(tasks, cohort),
        EncoderSeed(snakemake.wildcards.encoder, int(snakemake.wildcards.seed)),
        AggregatedFiles(*map(Path, (made.predictions, made.attention, params.resume))),
        AggregationSettings.model_validate(params.settings),
        snakemake.threads,
        [*cohort.tables(), read.features, read.features_index, *read.tables, *read.code],
    )
