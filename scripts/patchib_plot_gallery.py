"""Show what the models look at and which patches they keep, beside the true boxes.

Needs: images, boxes, the data set, exports of all models. Leaves: gallery as png and pdf.
"""

from pathlib import Path

from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.logs import script_run
from cxrflow.patchib.exported import Exported
from cxrflow.patchib.gallery import Looks, plot_gallery

with script_run(snakemake):
    read, made, params = snakemake.input, snakemake.output, snakemake.params
    cohort = CohortFiles.of(read)
    exports = [
        Exported(model, seed, Path(file))
        for (model, seed), file in zip(params.models.items(), read.exports, strict=True)
    ]
    plot_gallery(
        Looks.read(cohort, Path(read.master), exports),
        cohort.store(),
        params.simulated,
        [Path(made.png), Path(made.pdf)],
    )
