"""Put what each kind of compression forgets side by side.

Needs: curves and forgettability of every system and cohort. Leaves: one table and one figure.
"""

from pathlib import Path

from cxrflow.forgetting.side_by_side import Place, write_side_by_side
from cxrflow.logs import script_run

with script_run(snakemake):
    read, made, params = snakemake.input, snakemake.output, snakemake.params
    tables = zip(params.systems, params.axes, read.curves, read.forgettability, strict=True)
    places = [Place.read(system, axis, Path(one), Path(other)) for system, axis, one, other in tables]
    write_side_by_side(Path(made.table), [Path(made.png), Path(made.pdf)], places)
