"""Draw the exemplars: what they show more often than other images, and how reliable the set is.

Needs: pie_ratios, pie_stability and pie_sensitivity.parquet. Leaves: the figure as png and pdf.
"""

from pathlib import Path

import pandas as pd

from cxrflow.forgetting.exemplar_figures import plot_exemplars
from cxrflow.logs import script_run

with script_run(snakemake):
    plot_exemplars(
        *(pd.read_parquet(getattr(snakemake.input, name)) for name in ("ratios", "stability", "sensitivity")),
        outputs=[Path(snakemake.output.png), Path(snakemake.output.pdf)],
        legacy=snakemake.params.legacy,
    )
