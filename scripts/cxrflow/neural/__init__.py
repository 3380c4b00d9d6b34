"""neural: radiographs pruned by cross-attention, fused with the report's graph."""

import os

# Threads that wait for each other should not burn the time of another job: with two threads and the default, a training
# step beside one busy neighbour on two cores took ten times as long as with one. Read when torch is first imported.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
