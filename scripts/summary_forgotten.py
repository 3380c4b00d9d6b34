"""Tell whether two kinds of compression forget the same diseases, and misread the same patients.

Needs: forgettability and exemplars of every analysis of forgetting. Leaves: one table.
"""

from pathlib import Path

from cxrflow.forgetting.settings import ForgettingSettings
from cxrflow.logs import script_run
from cxrflow.summary.forgotten import Forgotten, write_forgotten

with script_run(snakemake):
    read, params = snakemake.input, snakemake.params
    tables = zip(params.systems, params.axes, read.forgettability, read.pie, strict=True)
    analyses = [Forgotten.read(system, axis, Path(one), Path(other)) for system, axis, one, other in tables]
    write_forgotten(Path(snakemake.output.table), analyses, ForgettingSettings.model_validate(params.settings[0]))
