"""Made-up forms of the reader survey, as the VGG Image Annotator exports them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from cxrflow.prunecxr.survey_settings import SurveySettings

SETTINGS = SurveySettings()


def write_form(path: Path, answers: Sequence[tuple[str, Mapping[str, object] | str]], header: str = "filename") -> Path:
    """Write rows of (file name, {question: answer} or raw text)."""
    attributes = [
        given if isinstance(given, str) else json.dumps({SETTINGS.wording[name]: said for name, said in given.items()})
        for _, given in answers
    ]
    table = pd.DataFrame({header: [name for name, _ in answers], "file_size": -1, "file_attributes": attributes})
    table.assign(region_count=0, region_id=0, region_shape_attributes="{}", region_attributes="{}").to_csv(
        path, index=False
    )
    return path


def answers_of(
    seed: int, forms: int = 3, per_arm: int = 10, shift: float = 0.0, strictness: float = 0.0
) -> pd.DataFrame:
    """Return answers in which exemplars are rated `shift` differently and each reader has a bar of their own."""
    generator = np.random.default_rng(seed)
    rows = []
    for form in range(forms):
        for place in range(2 * per_arm):
            is_pie = place < per_arm
            mean = 3 + shift * is_pie + strictness * (form - 1)
            quality, difficulty = np.clip(np.round(generator.normal(mean, 1, size=2)), 1, 5)
            agree = float(generator.random() < 0.5 + 0.15 * shift * is_pie)
            at = {"form": f"form_{form}", "filename": f"{form}_{place:02d}.png", "is_pie": is_pie}
            rows.append(at | {"agree": agree, "quality": quality, "difficulty": difficulty})
    return pd.DataFrame(rows)
