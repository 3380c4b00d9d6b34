"""Draw confusion matrices, accuracy against labels and compute, and patients on a plane.

Needs: the results tables, predictions of the first encoder, the first features of each, and the tasks. Leaves: three
figures as png and pdf.
"""

from pathlib import Path

import pandas as pd

from cxrflow.clear.confusion import plot_confusion
from cxrflow.clear.downstream_settings import TaskSettings
from cxrflow.clear.efficiency_figure import plot_efficiency
from cxrflow.clear.embedding_map import plot_embedding
from cxrflow.clear.feature_store import FeatureStore
from cxrflow.clear.measures import read_predictions
from cxrflow.clear.tasks import read_tasks
from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.logs import script_run


def both(name: str) -> list[Path]:
    return [Path(snakemake.output[name]), Path(snakemake.output[f"{name}_pdf"])]


with script_run(snakemake):
    read, params = snakemake.input, snakemake.params
    predictions = read_predictions(read.predictions)
    first = {"task": params.task, "aggregator": params.aggregator, "fraction": params.fraction}
    chosen = predictions[(predictions[list(first)] == pd.Series(first)).all(axis="columns")]
    plot_confusion(chosen, params.simulated, both("confusion"))
    plot_efficiency(pd.read_parquet(read.metrics), pd.read_parquet(read.compute), both("efficiency"))
    task = read_tasks({params.task: TaskSettings.model_validate(params.task_settings)}, CohortFiles.of(read))[0]
    stores = {
        name: FeatureStore.open(Path(features), Path(index))
        for name, features, index in zip(params.encoders, read.features, read.features_index, strict=True)
    }
    plot_embedding(stores, task, params.simulated, both("embedding"))
