"""Write the compressed asset of one share: kept patches, their features, and the report graph, in a file of its own.

Needs: graphs, report graphs of one text setting, exported features of all splits, images. Leaves: one npz.
"""

from pathlib import Path

from cxrflow.cohort.store import ImageStore
from cxrflow.logs import script_run
from cxrflow.neural.asset_writing import AssetLabel, AssetSources, write_asset
from cxrflow.neural.graphs import Graphs

with script_run(snakemake):
    read, params = snakemake.input, snakemake.params
    write_asset(
        Graphs.load(Path(read.graphs)),
        ImageStore.open(Path(read.images), Path(read.index)),
        AssetSources(
            Path(read.report_graphs),
            [Path(file) for file in read.features],
            [Path(file) for file in read.exported],
        ),
        AssetLabel(snakemake.wildcards.cohort, params.simulated, params.text, float(snakemake.wildcards.percent)),
        Path(snakemake.output.asset),
    )
