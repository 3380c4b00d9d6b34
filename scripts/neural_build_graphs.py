"""Join kept patches and report graphs at their most central nodes, for every share at once.

Needs: the rankings, and texts/{text}.jsonl (report graphs, one per image) of every text setting. Leaves: one file of
flat arrays that holds all graphs.
"""

from pathlib import Path

from cxrflow.logs import script_run
from cxrflow.neural.graphs import build_graphs
from cxrflow.neural.settings import GraphSettings, PruningSettings

with script_run(snakemake):
    build_graphs(
        Path(snakemake.input.ranking),
        {Path(file).stem: Path(file) for file in snakemake.input.texts},
        Path(snakemake.output.graphs),
        GraphSettings.model_validate(snakemake.params.settings),
        PruningSettings.model_validate(snakemake.params.pruning),
    )
