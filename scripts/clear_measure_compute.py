"""Measure what every encoder costs.

Needs: the weights of pretraining of those that start from them. Leaves: a results table.
"""

from pathlib import Path

from cxrflow.clear.compute import compute_table
from cxrflow.clear.downstream_settings import EncoderSettings, MeasuringSettings
from cxrflow.clear.slice_encoders import EncoderChoice
from cxrflow.files import write_twins
from cxrflow.logs import script_run
from cxrflow.training import prepare_torch

with script_run(snakemake):
    params = snakemake.params
    prepare_torch(snakemake.threads)
    weights = {name: Path(file) for name, file in zip(params.pretrained, snakemake.input.weights, strict=True)}
    encoders = {
        name: EncoderChoice(
            name, 0, EncoderSettings.model_validate(about), params.architecture, params.image_size, weights.get(name)
        ).build()
        for name, about in params.encoders.items()
    }
    settings = MeasuringSettings.model_validate(params.settings)
    about = {"cohort": snakemake.wildcards.cohort, "simulated": params.simulated}
    write_twins(snakemake.output.table, compute_table(encoders, params.slice_size, settings.compute_batch, about))
