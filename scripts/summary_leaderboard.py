"""Compare all encoders on the test patients of one cohort.

Needs: manifest, split, image index, the features of every encoder and what systems measured of them. Leaves: the
leaderboard, paired differences, a figure.
"""

from pathlib import Path

from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.logs import script_run
from cxrflow.summary.comparison import Compared, compare
from cxrflow.summary.settings import SummarySettings

with script_run(snakemake):
    made, params = snakemake.output, snakemake.params
    compare(
        CohortFiles.of(snakemake.input),
        Compared.of(snakemake.wildcards.cohort, params.compared, SummarySettings.model_validate(params.settings)),
        {"cohort": snakemake.wildcards.cohort, "simulated": params.simulated},
        params.images,
        *map(Path, (made.leaderboard, made.differences)),
        [Path(made.png), Path(made.pdf)],
        SummarySettings.model_validate(params.settings),
    )
