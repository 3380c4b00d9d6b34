"""Join kept patches and report graphs at their most central nodes, for every share at once.

Needs: the ranking and the report graphs. Leaves: one file of flat arrays that holds all graphs.
"""

from pathlib import Path

from cxrflow.logs import script_run
from cxrflow.neural.graphs import build_graphs
from cxrflow.neural.settings import GraphSettings, PruningSettings

with script_run(snakemake):
    build_graphs(
        Path(snakemake.input.ranking),
        Path(snakemake.input.report_graphs),
        Path(snakemake.output.graphs),
        GraphSettings.model_validate(snakemake.params.settings),
        PruningSettings.model_validate(snakemake.params.pruning),
    )
