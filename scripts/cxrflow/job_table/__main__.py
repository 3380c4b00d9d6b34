"""Print the job table of the published settings on the cohorts of the published studies.

python -m cxrflow.job_table            as text
python -m cxrflow.job_table FILE.csv   and the rows as a table
"""

import sys

from cxrflow.files import write_table
from cxrflow.job_table.plan import ROOT, planned_jobs, read_layers
from cxrflow.job_table.rates import read_rates
from cxrflow.job_table.table import estimates, printed, rows_of

LAYERS = [ROOT / "workflow/presets" / name for name in ("paper_cohorts.yaml", "paper.yaml")]

rows = rows_of(estimates(planned_jobs(LAYERS), read_layers(LAYERS), read_rates()))
print(printed(rows))
print("\nEstimates: workflow/presets/rates.yaml says what each is from, docs/slurm.md what they leave out.")
if sys.argv[1:]:
    write_table(sys.argv[1], rows)
