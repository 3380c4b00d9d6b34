"""Blank forms for a new survey: exemplars and other images, mixed, so that readers can't tell which are which."""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from cxrflow.cohort.store import ImageStore
from cxrflow.errors import UserError
from cxrflow.files import atomic_path, write_table
from cxrflow.forgetting.predictions import Truth
from cxrflow.prunecxr.survey_settings import SurveySettings

KEY, LABEL = "key.csv", "Label"
COLUMNS = (
    "filename", "file_size", "file_attributes", "region_count", "region_id", "region_shape_attributes",
    "region_attributes",
)  # fmt: skip
"""Columns of the VGG Image Annotator's csv."""


def write_forms(
    folder: Path,
    pie: pd.DataFrame,
    truth: Truth,
    store: ImageStore,
    settings: SurveySettings,
) -> pd.DataFrame:
    """Write form_1.csv ... with the questions unanswered, the images that they show in images/, and key.csv.

    `pie` has image_id and is_pie. Each form has as many other images as exemplars; no image is in two forms.
    Readers get images under the names image_001.png ... in random order, which tell nothing, with their labels in
    `truth`. The key (filename, form, is_pie, image_id), also returned, stays with who evaluates the survey. Raises
    UserError where there are too few images.
    """
    key = _draw(pie, settings.readers, settings.images_per_arm, np.random.default_rng(settings.seed))
    labels = dict(zip(truth.image_ids.tolist(), _label_texts(truth), strict=True))
    for name, rows in key.groupby("form"):
        attributes = [_attributes(labels[image], settings) for image in rows["image_id"]]
        write_table(folder / f"{name}.csv", _blank(rows["filename"], attributes))
    for filename, row in zip(key["filename"], store.rows(key["image_id"]), strict=True):
        with atomic_path(folder / "images" / filename) as temporary:
            Image.fromarray(np.asarray(store.images[row])).save(temporary, format="PNG")
    write_table(folder / KEY, key)
    return key


def _draw(pie: pd.DataFrame, forms: int, per_arm: int, generator: np.random.Generator) -> pd.DataFrame:
    wanted, arms = forms * per_arm, []
    for is_pie, name in ((True, "exemplars"), (False, "other images")):
        images = np.sort(pie.loc[pie["is_pie"] == is_pie, "image_id"].to_numpy(str))
        if len(images) < wanted:
            raise UserError(
                f"{forms} forms with {per_arm} {name} each need {wanted} of them; there are {len(images)}.",
                "Lower prunecxr.surveys.<cohort>.readers or images_per_arm.",
            )
        drawn = generator.permutation(images)[:wanted]
        arms.append(pd.DataFrame({"number": np.repeat(np.arange(forms), per_arm), "is_pie": is_pie, "image_id": drawn}))
    key = pd.concat(arms, ignore_index=True)
    key = key.iloc[generator.permutation(len(key))].sort_values("number", kind="stable", ignore_index=True)
    key["filename"] = [f"image_{place + 1:03d}.png" for place in range(len(key))]
    key["form"] = [f"form_{number + 1}" for number in key["number"]]
    return key[["filename", "form", "is_pie", "image_id"]]


def _label_texts(truth: Truth) -> list[str]:
    names = np.array(truth.classes)
    return [", ".join(names[row == 1]) or "no label" for row in truth.labels]


def _attributes(label: str, settings: SurveySettings) -> str:
    return json.dumps({LABEL: label, **dict.fromkeys(settings.wording.values(), "")})


def _blank(filenames: pd.Series, attributes: Iterable[str]) -> pd.DataFrame:
    form = pd.DataFrame({"filename": filenames, "file_size": -1, "region_count": 0, "region_id": 0})
    form = form.assign(file_attributes=list(attributes), region_shape_attributes="{}", region_attributes="{}")
    return form[list(COLUMNS)]
