"""PruneCXR (Holste et al., MICCAI 2023): which diseases a pruned long-tailed classifier forgets, and in whom."""
