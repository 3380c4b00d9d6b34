"""Compare a few radiographs and reports of different findings, each with each.

Needs: images, the data set, exports of all models. Leaves: similarity as png and pdf.
"""

from pathlib import Path

from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.logs import script_run
from cxrflow.patchib.exported import Exported
from cxrflow.patchib.similarity_figure import Matrix, plot_similarity

with script_run(snakemake):
    read, made, params = snakemake.input, snakemake.output, snakemake.params
    cohort = CohortFiles.of(read)
    exports = [
        Exported(model, seed, Path(file))
        for (model, seed), file in zip(params.models.items(), read.exports, strict=True)
    ]
    plot_similarity(
        Matrix.read(exports, Path(read.master), cohort.manifest),
        cohort.store(),
        params.simulated,
        [Path(made.png), Path(made.pdf)],
    )
