"""Credentialed data: the acknowledgement of its agreement, and which results speak of single patients.

Ids and texts of patients stand in the patient-level files alone. Nobody but their maker can read these, and neither
the HTML report nor a log shows anything of them.
"""

from pathlib import Path

from cxrflow.errors import UserError
from cxrflow.files import write_json

PATIENT_LEVEL = (
    "cohort/manifest.parquet",
    "cohort/reports.parquet",
    "cohort/split.parquet",
    "cohort/duplicates.*",
    "cohort/images_*",
    "cohort/contact_sheet.png",
    "cohort/*quarantine_*.csv",
    "reports/findings.parquet",
    "reports/graphs.jsonl",
    "reports/*quarantine_*.csv",
    "reports/shown/*",
    "neural/vlm/*",
    "backbone/*",
    "patchib/mimic_master_official_split.jsonl",
    "patchib/towers/*",
    "patchib/models/*",
    "patchib/gallery.*",
    "patchib/similarity.*",
    "clear/boxes.csv",
    "clear/presence.csv",
    "clear/*/*/weights.safetensors",
    "clear/*/*/checkpoints/*",
    "clear/features/*",
    "clear/predictions/*",
    "clear/attention/*",
    "igcl/*.npz",
    "igcl/vectors.*",
    "igcl/*.safetensors",
    "igcl/predictions/*",
    "igcl/gallery.html",
    "igcl/*quarantine_*.csv",
    "neural/texts/*",
    "neural/attention/*",
    "neural/codecs/*",
    "neural/ranking.npz",
    "neural/graphs.npz",
    "neural/assets/*",
    "neural/predictions/*",
    "neural/gallery.png",
    "*/forgetting/predictions/*",
    "*/forgetting/measures/*",
    "*/forgetting/pie.*",
    "*/forgetting/exemplars.html",
    "summary/features/*",
    "prunecxr/training/*",
    "prunecxr/predictions/*",
    "prunecxr/published/*",
    "prunecxr/measures/*",
    "prunecxr/pie.*",
    "prunecxr/exemplars.html",
    "prunecxr/survey_forms/*",
    "prunecxr/survey_refused.csv",
)
"""Files below results/<cohort>/ that name patients, studies or images, hold their texts, or were computed from single
images. Everything else (tables, figures, logs, benchmarks, results/quarantine/, the report) speaks of groups."""


def acknowledge(target: Path, cohort: str, layout: str, acknowledged: bool) -> None:
    """Write down that the agreement is acknowledged; raise UserError where it is not."""
    if not acknowledged:
        raise UserError(
            f"{cohort} ({layout}) is credentialed data, and nobody has acknowledged its data use agreement.",
            f"if you have signed it and keep to it, say so: `acknowledge_dua: [{cohort}]` in the configuration.",
        )
    write_json(target, {"cohort": cohort, "format": layout, "data_use_agreement": "acknowledged in the configuration"})
