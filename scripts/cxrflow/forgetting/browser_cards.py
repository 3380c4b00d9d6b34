"""What the page of exemplars shows of each image: thumbnail, labels, boxes, agreement, probabilities of both models."""

import base64
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from cxrflow.cohort.store import ImageStore
from cxrflow.errors import UserError
from cxrflow.forgetting.predictions import Truth

SIDE = 160
"""Longer side of a thumbnail in pixels."""
_QUALITY = 80
_SCALE = 1000  # probabilities are written as whole thousandths: a third of the letters


@dataclass(frozen=True)
class Shown:
    """The images that a page can show, and what both models make of them."""

    truth: Truth
    """Of N test images."""
    whole: NDArray[np.float64]
    """(N, C): mean probabilities of the whole models."""
    compressed: NDArray[np.float64]
    """(N, C): those of the models at the level of the exemplars."""
    samples: pd.DataFrame
    """image_id, height, width (pixels of the original) and boxes."""
    store: ImageStore


def chosen_images(exemplars: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Return the rows of all exemplars and of as many other images, drawn at random, in the order of their ids.

    `exemplars` has image_id and is_pie; which others are drawn depends on `seed` and the ids, not on the rows' order.
    """
    table = exemplars.sort_values("image_id", ignore_index=True)
    chosen = table["is_pie"].to_numpy(dtype=bool)
    others = np.flatnonzero(~chosen)
    drawn = np.random.default_rng(seed).choice(others, min(int(chosen.sum()), len(others)), replace=False)
    return table.iloc[np.sort(np.concatenate([np.flatnonzero(chosen), drawn]))].reset_index(drop=True)


def card_data(chosen: pd.DataFrame, shown: Shown) -> list[dict[str, Any]]:
    """Return what the page needs to draw each row of `chosen` (image_id, agreement, is_pie, n_diseases).

    Patient ids are not in it. Agreement is null where a model predicts a constant.
    """
    places = pd.Index(shown.truth.image_ids).get_indexer(pd.Index(chosen["image_id"]))
    if (places < 0).any():
        raise UserError(
            f"{int((places < 0).sum())} images in the table of exemplars are no test images of the cohort.",
            "it is of another split: delete it and run again.",
        )
    about = shown.samples.set_index("image_id").loc[chosen["image_id"]]
    rows = shown.store.rows(chosen["image_id"])
    each = zip(chosen.itertuples(), places, rows, about.itertuples(), strict=True)
    return [_card(card, place, shown.store.images[row], image, shown) for card, place, row, image in each]


def _card(card: Any, place: int, pixels: NDArray[np.uint8], image: Any, shown: Shown) -> dict[str, Any]:
    size = float(image.width), float(image.height)
    return {
        "id": card.image_id,
        "pie": bool(card.is_pie),
        "agreement": None if pd.isna(card.agreement) else round(float(card.agreement), 4),
        "diseases": int(card.n_diseases),
        "labels": np.flatnonzero(shown.truth.labels[place] == 1.0).tolist(),
        "whole": _thousandths(shown.whole[place]),
        "compressed": _thousandths(shown.compressed[place]),
        "image": thumbnail(pixels, *size),
        "boxes": relative_boxes(image.boxes, *size),
    }


def thumbnail(pixels: NDArray[np.uint8], width: float, height: float) -> str:
    """Return a square of the store as a JPEG in base 64, stretched back to the shape of the original image."""
    longer = max(width, height)
    shape = (max(1, round(SIDE * width / longer)), max(1, round(SIDE * height / longer)))
    stream = io.BytesIO()
    Image.fromarray(np.asarray(pixels)).resize(shape, Image.Resampling.LANCZOS).save(
        stream, "JPEG", quality=_QUALITY, optimize=True
    )
    return base64.b64encode(stream.getvalue()).decode("ascii")


def relative_boxes(boxes: Iterable[Any] | None, width: float, height: float) -> list[list[str | float]]:
    """Return label, left, top, width and height of each box, in per cent of the image."""
    shares = [("x", width), ("y", height), ("w", width), ("h", height)]
    return [
        [str(box["label"]), *(round(100 * float(box[side]) / whole, 2) for side, whole in shares)]
        for box in (boxes if boxes is not None else ())
    ]


def _thousandths(probabilities: NDArray[np.floating]) -> Sequence[int]:
    return np.rint(np.asarray(probabilities, dtype=np.float64) * _SCALE).astype(int).tolist()
