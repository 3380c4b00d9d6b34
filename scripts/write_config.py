"""Write the merged configuration beside the results, so that each result can say what made it.

Needs: the validated configuration. Leaves: one YAML file that reproduces the run when given as --configfile.
"""

import yaml

from cxrflow.files import write_text
from cxrflow.logs import script_run

with script_run(snakemake):
    write_text(snakemake.output[0], yaml.safe_dump(dict(snakemake.params.config), sort_keys=False, width=120))
