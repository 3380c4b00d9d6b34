"""Draw what readers said of exemplars and of other images.

Needs: survey.parquet and survey_tests.parquet. Leaves: the figure as png and pdf.
"""

from pathlib import Path

import pandas as pd

from cxrflow.logs import script_run
from cxrflow.prunecxr.survey_figure import plot_survey

with script_run(snakemake):
    plot_survey(
        pd.read_parquet(snakemake.input.survey),
        pd.read_parquet(snakemake.input.tests),
        [Path(snakemake.output.png), Path(snakemake.output.pdf)],
    )
