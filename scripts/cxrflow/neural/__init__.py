"""neural: radiographs pruned by cross-attention, fused with the report's graph."""

import os

# Threads that wait for each other should not burn the time of another job: with two threads and one busy neighbour on
# two cores, a training step took 5.4 s with the default and 0.4 s with this. It is read when torch is first imported.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
