"""Put a linear probe's predictions from fewer patches on an axis of compression.

Needs: the data set, the export of a model that selects patches. Leaves: per seed the canonical table of predictions
that the room `forgetting` reads.
"""

from pathlib import Path

from cxrflow.logs import script_run
from cxrflow.patchib.exported import Exported
from cxrflow.patchib.master import label_order
from cxrflow.patchib.share_predictions import write_share_predictions

with script_run(snakemake):
    read, params = snakemake.input, snakemake.params
    write_share_predictions(
        [Path(file) for file in snakemake.output.predictions],
        [Exported(params.model, seed, Path(read.export)) for seed in params.seeds],
        Path(read.master),
        label_order(Path(read.manifest)),
        params.kind,
        params.way,
    )
