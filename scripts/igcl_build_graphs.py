"""Turn the report graphs into flat arrays with virtual nodes, and give every entity its vector.

Needs: the report graphs. Leaves: the graphs in one file, the vectors as a memory map with their description, and what
was refused of the graphs. An interrupted run goes on where it was.
"""

from pathlib import Path

from cxrflow.cohort.quarantine import Quarantine
from cxrflow.igcl.graph_building import build_graph_store
from cxrflow.igcl.graph_settings import GraphSettings
from cxrflow.logs import script_run

with script_run(snakemake):
    params, output = snakemake.params, snakemake.output
    refused = Quarantine(snakemake.rule)

    def accept(reports):
        refused.settle(Path(output.quarantine), reports, params.on_bad_input, params.maximum_quarantined)

    build_graph_store(
        Path(snakemake.input.graphs),
        Path(output.graphs),
        Path(output.vectors),
        GraphSettings.model_validate(params.settings),
        workers=snakemake.threads,
        refused=refused,
        accept=accept,
    )
