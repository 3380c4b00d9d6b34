"""Rank the patches of every radiograph; any share that is kept is a prefix of the ranking.

Needs: attention and norms of all splits. Leaves: the ranking of each selector and text, and how many patches each share
keeps.
"""

from pathlib import Path

from cxrflow.logs import script_run
from cxrflow.neural.pruning import AttentionFiles, rank_patches
from cxrflow.neural.settings import PruningSettings, TextSettings

with script_run(snakemake):
    read = snakemake.input
    rank_patches(
        AttentionFiles(*([Path(file) for file in files] for files in (read.attention, read.norms, read.images))),
        Path(snakemake.output.ranking),
        Path(snakemake.output.kept),
        snakemake.params.layers,
        PruningSettings.model_validate(snakemake.params.settings),
        TextSettings.model_validate(snakemake.params.texts),
    )
