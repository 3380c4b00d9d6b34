"""Rank the patches of every radiograph; any share that is kept is a prefix of the ranking.

Needs: the attention of all splits. Leaves: the ranking of each selector, and how many patches each share keeps.
"""

from pathlib import Path

from cxrflow.logs import script_run
from cxrflow.neural.pruning import rank_patches
from cxrflow.neural.settings import PruningSettings

with script_run(snakemake):
    rank_patches(
        [Path(file) for file in snakemake.input.attention],
        [Path(file) for file in snakemake.input.images],
        Path(snakemake.output.ranking),
        Path(snakemake.output.kept),
        snakemake.params.layers,
        PruningSettings.model_validate(snakemake.params.settings),
    )
