"""Image-graph contrastive pretraining: radiographs are paired with the graphs of their reports."""
