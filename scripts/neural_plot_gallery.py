"""Show what the model looks at and what pruning keeps, beside the true boxes.

Needs: images, boxes, attention of the validate and test splits, and what the model wrote, where it did.
Leaves: gallery.png.
"""

from pathlib import Path

from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.logs import script_run
from cxrflow.neural.exports import Exports
from cxrflow.neural.gallery import Looks, plot_gallery
from cxrflow.neural.settings import PruningSettings

with script_run(snakemake):
    read, params = snakemake.input, snakemake.params
    cohort = CohortFiles.of(read)
    exports = Exports([Path(file) for file in read.attention], [Path(file) for file in read.exported])
    written = getattr(read, "generated_texts", None)
    plot_gallery(
        Looks.read(exports, cohort, params.layers, params.texts, Path(written) if written else None),
        cohort.store(),
        tuple(params.shares),
        PruningSettings.model_validate(params.pruning),
        params.simulated,
        Path(snakemake.output.png),
    )
