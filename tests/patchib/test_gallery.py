"""The gallery shows typical radiographs, heat and masks, and says whose."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from tests.patchib.made_up_results import (
    drawn_texts,
    store_of,
    write_export,
)

from cxrflow.panels import enlarged, typical_rows
from cxrflow.patchib.gallery import Looks, gallery_note, heat_models, plot_gallery, prominence, row_panels


def made_up_looks(masked: bool = True) -> Looks:
    """Return four radiographs with a box on the first of 2 x 2 patches, more and more of the heat of B inside it."""
    cover = [np.array([1.0, 0, 0, 0])] * 4
    box = [{"label": "Edema", "x": 0.0, "y": 0.0, "w": 60.0, "h": 60.0}]
    boxed = pd.DataFrame({"position": range(4), "patient_id": list("abcd"), "finding": "Edema", "cover": cover})
    boxed = boxed.assign(image_id=list("abcd"), height=120, width=120, boxes=[box] * 4)
    heat = np.tile(np.array([0, 0.1, 0.2, 0.3], np.float32), (4, 1))
    heat[:, 0] = [0.1, 0.4, 0.3, 0.2]
    masks = np.tile(np.array([1, 0, 0, 1], np.float32), (4, 1))
    return Looks(boxed, {"A": heat[::-1], "B": heat}, {"C": masks} if masked else {})


def test_the_example_is_the_median_of_its_finding_and_the_commonest_come_first() -> None:
    covers = pd.DataFrame({"finding": ["Edema"] * 3 + ["Nodule"], "position": range(4)}, index=[7, 5, 3, 1])
    assert typical_rows(covers, [0.1, 0.9, 0.4, 0.2]).index.tolist() == [3, 1]
    looks = made_up_looks()
    chosen = typical_rows(looks.boxed, list(prominence(looks.heat["B"], looks.boxed)))
    assert chosen["image_id"].tolist() == ["c"]


def test_prominence_is_the_standardised_heat_in_the_boxes() -> None:
    boxed = made_up_looks().boxed.head(2)
    heat = np.array([[3, 1, 1, 1], [5, 5, 5, 5]], np.float32)
    assert prominence(heat, boxed) == pytest.approx([1.5 / np.sqrt(0.75), 0])
    assert prominence(heat[:0], boxed.head(0)).size == 0


@given(arrays(np.float64, (1, 4), elements=st.integers(-5, 5)), st.integers(1, 9), st.integers(-9, 9))
def test_prominence_knows_no_unit(heat: np.ndarray, scale: int, shift: int) -> None:
    boxed = made_up_looks().boxed.head(1)
    assert prominence(heat * scale + shift, boxed) == pytest.approx(prominence(heat, boxed), abs=1e-9)


def test_a_patch_is_a_square_of_its_own_value() -> None:
    assert enlarged(np.array([1, 2, 3, 4]), 4).tolist() == [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]


def test_a_row_shows_the_radiograph_heat_and_what_masks_keep() -> None:
    looks, image = made_up_looks(), np.full((4, 4), 200, np.uint8)
    panels = row_panels(image, looks, 1)
    assert [panel.title for panel in panels] == ["", "heat of A", "heat of B", "C: 50 % kept, boxes 100 %"]
    assert panels[2].heat is not None
    assert panels[2].heat[0, 0] == 1
    assert panels[2].heat.min() == 0
    assert panels[3].image[[0, 0, 3, 3], [0, 3, 0, 3]].tolist() == [200, 50, 50, 200]


def test_heat_is_of_models_that_see_all_patches(tmp_path: Path) -> None:
    zero, a, b, c = (write_export(tmp_path, model, model == "C", x=np.zeros(1)) for model in "0ABC")
    assert heat_models([zero, a, b, c]) == ["A", "B"]
    assert heat_models([zero, c]) == ["0"]
    assert heat_models([c]) == ["C"]


def test_the_gallery_says_whose_heat_chose_its_examples(tmp_path: Path) -> None:
    looks = made_up_looks()
    said = gallery_note(looks)
    for part in ("4 boxed findings of 4 patients", "heat of model B by the median", "Dimmed", "no intervals"):
        assert part in said
    assert "Dimmed" not in gallery_note(made_up_looks(masked=False))
    plot_gallery(looks, store_of(list("abcd")), True, [tmp_path / "gallery.png", tmp_path / "gallery.pdf"])
    assert Image.open(tmp_path / "gallery.png").width > 1000


def test_a_cohort_without_boxes_has_an_empty_gallery(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    said = drawn_texts(monkeypatch, "gallery")
    looks = made_up_looks()
    none = {model: values[:0] for model, values in looks.heat.items()}
    plot_gallery(Looks(looks.boxed.head(0), none, {}), store_of(["a"]), True, [tmp_path / "gallery.png"])
    assert "No radiograph of this cohort has boxes. Simulated radiographs." in said
