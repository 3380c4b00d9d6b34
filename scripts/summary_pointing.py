"""Put the pointing games of all systems side by side.

Needs: pointing of neural, grounding of patchib, attention over slices of clear with manifest, split and image index.
Leaves: one table and one figure.
"""

from pathlib import Path

import pandas as pd

from cxrflow.clear.downstream_settings import MeasuringSettings
from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.files import write_twins
from cxrflow.logs import script_run
from cxrflow.summary.pointing import of_clear, of_neural, of_patchib, pointing_table
from cxrflow.summary.pointing_figure import plot_pointing

with script_run(snakemake):
    read, made, params = snakemake.input, snakemake.output, snakemake.params
    how = MeasuringSettings.model_validate(params.measuring)
    parts = [of_neural(pd.read_parquet(file)) for file in read.neural]
    parts += [of_patchib(pd.read_parquet(file)) for file in read.patchib]
    for about in params.sliced:
        files = CohortFiles(*(Path(about[name]) for name in ("manifest", "split", "images", "index")))
        named = (about["cohort"], about["simulated"])
        parts.append(of_clear(files, about["attention"], params.task, *named, how))
    table = pointing_table(parts)
    write_twins(Path(made.table), table)
    plot_pointing(table, params.shown, [Path(made.png), Path(made.pdf)])
