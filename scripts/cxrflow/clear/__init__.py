"""The system `clear`: lesion-enhanced contrastive learning on CT slices, and the aggregation of a patient's slices."""
