"""Put AUROC against what is kept, systems side by side.

Needs: the mean over classes of every analysis of forgetting, and the bytes where a system counts them. Leaves: one
table and one figure.
"""

from pathlib import Path

from cxrflow.logs import script_run
from cxrflow.summary.compression import Compressed, write_compression

with script_run(snakemake):
    read, made, params = snakemake.input, snakemake.output, snakemake.params
    tables = zip(params.systems, params.axes, read.overall, params.stored, strict=True)
    analyses = [
        Compressed.read(system, axis, Path(overall), Path(stored) if stored else None)
        for system, axis, overall, stored in tables
    ]
    write_compression(Path(made.table), [Path(made.png), Path(made.pdf)], analyses)
