"""Write the text and the graph of every radiograph in every text setting: whose words they are, whole or masked.

Needs: reports with their graphs and findings, and the same of generated reports where a setting is generated.
Leaves: a table and JSON lines per text setting.
"""

from pathlib import Path

from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.logs import script_run
from cxrflow.neural.texts import ReadFiles, TextFiles, write_texts

with script_run(snakemake):
    read, made, params = snakemake.input, snakemake.output, snakemake.params
    files = zip(params.texts, made.texts, made.graphs, strict=True)
    generated = [Path(file) for file in read.generated]
    write_texts(
        CohortFiles.of(read).samples([], "zero"),
        {text: TextFiles(Path(table), Path(graphs)) for text, table, graphs in files},
        ReadFiles(Path(read.report_graphs), Path(read.findings)),
        list(params.targets),
        generated,
        ReadFiles(Path(read.generated_graphs[0]), Path(read.generated_findings[0])) if generated else None,
    )
