"""The human index of Open-I (MeSH-like paths such as 'Opacity/lung/base/left/streaky') as findings, places, degrees."""

from collections.abc import Iterable
from dataclasses import dataclass

NOT_INDEXED = "no indexing"  # 95 reports: nobody coded them, so nothing is known to be absent
NORMAL = "normal"


@dataclass(frozen=True)
class IndexedFinding:
    """One path of the index.

    `side` left|right|bilateral|None; `site` upper|middle|lower|apex|hilum|base|None, for a device its kind;
    `severity` mild|moderate|severe|None ('small' and 'borderline' count as mild, 'large' as severe).
    """

    finding: str
    side: str | None
    site: str | None
    severity: str | None
    path: str


# Head of the path -> findings. Heads are whole words: 'Subcutaneous Emphysema' is no emphysema of the lung,
# 'Pericardial Effusion' no pleural one, and a hydropneumothorax is both fluid and air.
HEADS: dict[str, tuple[str, ...]] = {
    "airspace disease": ("opacity",),
    "aortic aneurysm": ("enlarged_mediastinum",),
    "atherosclerosis": ("aortic_calcification",),
    "blister": ("bulla",),
    "bronchiectasis": ("bronchiectasis",),
    "bullous emphysema": ("emphysema", "bulla"),
    "calcified granuloma": ("granuloma",),
    "cardiomegaly": ("cardiomegaly",),
    "catheters, indwelling": ("device",),
    "cavitation": ("cavity",),
    "cicatrix": ("scar",),
    "consolidation": ("consolidation",),
    "emphysema": ("emphysema",),
    "foreign bodies": ("foreign_body",),
    "fractures, bone": ("fracture",),
    "granuloma": ("granuloma",),
    "granulomatous disease": ("granulomatous_disease",),
    "heart failure": ("heart_failure",),
    "hemopneumothorax": ("pneumothorax", "effusion"),
    "hemothorax": ("effusion",),
    "hernia, diaphragmatic": ("hernia",),
    "hernia, hiatal": ("hernia",),
    "hydropneumothorax": ("pneumothorax", "effusion"),
    "implanted medical device": ("device",),
    "infiltrate": ("opacity",),
    "kyphosis": ("kyphosis",),
    "lung diseases, interstitial": ("interstitial_disease",),
    "lung, hyperlucent": ("hyperinflation",),
    "mass": ("mass",),
    "mediastinal emphysema": ("pneumomediastinum",),
    "medical device": ("device",),
    "nodule": ("nodule",),
    "opacity": ("opacity",),
    "pericardial effusion": ("pericardial_effusion",),
    "pleural effusion": ("effusion",),
    "pneumonia": ("pneumonia",),
    "pneumoperitoneum": ("pneumoperitoneum",),
    "pneumothorax": ("pneumothorax",),
    "pulmonary atelectasis": ("atelectasis",),
    "pulmonary congestion": ("congestion",),
    "pulmonary disease, chronic obstructive": ("copd",),
    "pulmonary edema": ("edema",),
    "pulmonary emphysema": ("emphysema",),
    "pulmonary fibrosis": ("fibrosis",),
    "scoliosis": ("scoliosis",),
    "spondylosis": ("degenerative_spine",),
    "stents": ("device",),
    "subcutaneous emphysema": ("subcutaneous_emphysema",),
    "surgical instruments": ("device",),
    "sutures": ("device",),
    "tube, inserted": ("device",),
    "volume loss": ("volume_loss",),
}

# (head, a qualifier that must be in the path) -> finding, for heads that name a place and not a disease.
QUALIFIED: dict[tuple[str, str], str] = {
    ("aorta", "tortuous"): "tortuous_aorta",
    ("aorta, thoracic", "tortuous"): "tortuous_aorta",
    ("calcinosis", "aorta"): "aortic_calcification",
    ("calcinosis", "aorta, thoracic"): "aortic_calcification",
    ("calcinosis", "lung"): "calcification",
    ("cardiac shadow", "enlarged"): "cardiomegaly",
    ("costophrenic angle", "blunted"): "blunted_angle",
    ("density", "costophrenic angle"): "opacity",
    ("density", "lung"): "opacity",
    ("density", "retrocardiac"): "opacity",
    ("density", "thorax"): "opacity",
    ("diaphragm", "elevated"): "elevated_diaphragm",
    ("diaphragm", "flattened"): "hyperinflation",
    ("lung", "hyperdistention"): "hyperinflation",
    ("lung", "hypoinflation"): "hypoinflation",
    ("markings", "interstitial"): "interstitial_disease",
    ("mediastinum", "enlarged"): "enlarged_mediastinum",
    ("mediastinum", "prominent"): "enlarged_mediastinum",
    ("spine", "degenerative"): "degenerative_spine",
    ("thickening", "pleura"): "pleural_thickening",
    ("thoracic vertebrae", "degenerative"): "degenerative_spine",
}

_NAMED = {finding for names in HEADS.values() for finding in names} | set(QUALIFIED.values())
OUTSIDE_LUNG = {"breast", "humerus", "sternum", "thoracic vertebrae"}  # an opacity or a mass there is none of the lung
IN_LUNG = {"mass", "nodule", "opacity"}
FINDINGS: tuple[str, ...] = tuple(sorted(_NAMED))

# Finding -> labels of the 14 of CheXpert and MIMIC-CXR-JPG that it makes positive; findings without one have ().
# Congestion and heart failure count as edema, as in the published labeller's phrase list.
_LABELLED: dict[str, tuple[str, ...]] = {
    "atelectasis": ("Atelectasis",),
    "blunted_angle": ("Pleural Other",),
    "cardiomegaly": ("Cardiomegaly",),
    "cavity": ("Lung Lesion",),
    "congestion": ("Edema",),
    "consolidation": ("Consolidation", "Lung Opacity"),
    "device": ("Support Devices",),
    "edema": ("Edema",),
    "effusion": ("Pleural Effusion",),
    "enlarged_mediastinum": ("Enlarged Cardiomediastinum",),
    "fracture": ("Fracture",),
    "granuloma": ("Lung Lesion",),
    "heart_failure": ("Edema",),
    "mass": ("Lung Lesion",),
    "nodule": ("Lung Lesion",),
    "opacity": ("Lung Opacity",),
    "pleural_thickening": ("Pleural Other",),
    "pneumonia": ("Pneumonia", "Lung Opacity"),
    "pneumothorax": ("Pneumothorax",),
}
LABEL_OF: dict[str, tuple[str, ...]] = {finding: _LABELLED.get(finding, ()) for finding in FINDINGS}

DEVICE_KINDS: dict[str, str] = {
    "catheters, indwelling": "catheter",
    "implanted medical device": "implant",
    "medical device": "device",
    "stents": "stent",
    "surgical instruments": "clip",
    "sutures": "suture",
    "tube, inserted": "tube",
}

# In this order: the first qualifier that is in the path decides. The lingula is the left lung's middle zone.
SITES: dict[str, str] = {
    "apex": "apex", "hilum": "hilum", "upper lobe": "upper", "azygos lobe": "upper", "middle lobe": "middle",
    "lingula": "middle", "lower lobe": "lower", "base": "base", "costophrenic angle": "base", "retrocardiac": "base",
}  # fmt: skip
SIDES: dict[str, str] = {"bilateral": "bilateral", "left": "left", "right": "right", "lingula": "left"}
SEVERITIES: dict[str, str] = {
    "severe": "severe", "large": "severe", "moderate": "moderate",
    "mild": "mild", "small": "mild", "borderline": "mild",
}  # fmt: skip


def indexed_findings(index: tuple[str, ...]) -> list[IndexedFinding]:
    """Return the findings that the paths of one report name, in their order; unknown heads and 'normal' give none."""
    return [finding for path in index for finding in _of_path(path)]


def is_indexed(index: tuple[str, ...]) -> bool:
    """Say whether a human coded the report at all; where not, absence in the index means nothing."""
    return bool(index) and all(_clean(path) != NOT_INDEXED for path in index)


def is_normal(index: tuple[str, ...]) -> bool:
    """Say whether the index calls the study normal."""
    return any(_clean(path) == NORMAL for path in index)


def index_labels(index: tuple[str, ...]) -> frozenset[str]:
    """Return the labels of CheXpert that the index makes positive: those of its findings, or No Finding if normal.

    Nothing is known of the labels that are not returned: an index names what a report says is there.
    """
    named = {label for finding in indexed_findings(index) for label in LABEL_OF[finding.finding]}
    return frozenset(named or ({"No Finding"} if is_normal(index) else ()))


def _of_path(path: str) -> list[IndexedFinding]:
    head, *qualifiers = (_clean(part) for part in path.split("/"))
    named = set(qualifiers)
    by_place = (finding for (place, word), finding in QUALIFIED.items() if place == head and word in named)
    candidates = dict.fromkeys([*HEADS.get(head, ()), *by_place])
    findings = [finding for finding in candidates if finding not in IN_LUNG or not named & OUTSIDE_LUNG]
    side, severity = _side(qualifiers), _first(SEVERITIES, named)
    site = DEVICE_KINDS.get(head) or _first(SITES, named)
    return [IndexedFinding(finding, side, site, severity, path) for finding in findings]


def _side(qualifiers: list[str]) -> str | None:
    sides = {SIDES[word] for word in qualifiers if word in SIDES}
    if len(sides) > 1:
        return "bilateral"
    return next(iter(sides), None)


def _first(table: dict[str, str], named: Iterable[str]) -> str | None:
    present = set(named)
    return next((value for word, value in table.items() if word in present), None)


def _clean(part: str) -> str:
    return " ".join(part.lower().split())
