"""Measure speed, multiplications, parameters and memory of all models, one after the other.

Needs: the data set, image store, towers, weights of one seed of every model. Leaves: a table.
"""

from pathlib import Path

from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.logs import script_run
from cxrflow.patchib.efficiency import measure_efficiency
from cxrflow.patchib.settings import EvaluationSettings, ModelSettings, TrainingSettings
from cxrflow.patchib.training import ModelChoice

with script_run(snakemake):
    read, made, params = snakemake.input, snakemake.output, snakemake.params
    sizes = (params.towers, params.image_size, params.context_length)
    choices = [
        ModelChoice(name, 0, *sizes, ModelSettings.model_validate(model), TrainingSettings(), snakemake.threads)
        for name, model in params.models.items()
    ]
    measure_efficiency(
        CohortFiles.of(read),
        Path(read.master),
        dict(zip(choices, map(Path, read.weights), strict=True)),
        Path(made.table),
        {"cohort": snakemake.wildcards.cohort, "simulated": params.simulated},
        EvaluationSettings.model_validate(params.settings),
    )
