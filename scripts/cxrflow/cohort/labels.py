"""The labels that several data sets share, by their published names."""

CHEXPERT_LABELS = (
    "Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Enlarged Cardiomediastinum", "Fracture", "Lung Lesion",
    "Lung Opacity", "No Finding", "Pleural Effusion", "Pleural Other", "Pneumonia", "Pneumothorax", "Support Devices",
)  # fmt: skip
"""The 14 labels of the CheXpert labeler, as CheXpert, CheXpert Plus and MIMIC-CXR-JPG have them."""
