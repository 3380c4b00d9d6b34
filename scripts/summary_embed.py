"""Run the trained encoders of one system over all images of a cohort.

Needs: the image store, the weights. Leaves: one file of features, and the table of what each encoder costs.
"""

from pathlib import Path

from cxrflow.cohort.store import ImageStore
from cxrflow.logs import script_run
from cxrflow.summary.embedding import embed
from cxrflow.summary.encoders import Trained
from cxrflow.summary.settings import SummarySettings

with script_run(snakemake):
    read, made, params = snakemake.input, snakemake.output, snakemake.params
    embed(
        snakemake.wildcards.system,
        [Trained(encoder, seed, Path(file) if file else None) for encoder, seed, file in params.trained],
        params.about,
        ImageStore.open(Path(read.images), Path(read.index)),
        Path(made.features),
        Path(made.cost),
        SummarySettings.model_validate(params.settings),
        snakemake.threads,
    )
