"""Put one seed's predictions from pruned radiographs on an axis of compression.

Needs: the graph classifiers' predictions. Leaves: the canonical table of predictions that the room `forgetting` reads.
"""

from pathlib import Path

from cxrflow.logs import script_run
from cxrflow.neural.patch_predictions import write_patch_predictions

with script_run(snakemake):
    params = snakemake.params
    source, output = Path(snakemake.input.predictions), Path(snakemake.output.predictions)
    write_patch_predictions(source, output, list(params.targets), params.way)
