"""neural: radiographs pruned by cross-attention, fused with the report's graph."""
