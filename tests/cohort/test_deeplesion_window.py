"""16-bit files of Hounsfield units shown through a window, for CT slices alone."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

from cxrflow.cohort.decoding import decode
from cxrflow.cohort.hounsfield import WINDOWS, named_window, stored, windowed
from cxrflow.cohort.layouts import window_of
from cxrflow.cohort.quarantine import Quarantine
from cxrflow.cohort.settings import CohortSettings
from cxrflow.cohort.store_building import build_store

HOUNSFIELD = np.array([[-1000, -160], [40, 240]], dtype=np.float32)


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def test_the_ends_of_the_window_are_black_and_white_and_its_middle_is_grey() -> None:
    assert decode(png(stored(HOUNSFIELD)), 2, (-160, 240)).tolist() == [[0, 0], [128, 255]]


def test_water_and_air_are_stored_as_published() -> None:
    assert stored(np.array([0, -1000, 5000, -3000], dtype=np.float32)).tolist() == [32768, 31768, 35839, 31744]


@given(st.floats(-1024, 3071), st.floats(-1500, 1000), st.floats(1, 4000))
def test_grey_is_the_share_of_the_window_that_lies_below(value: float, low: float, width: float) -> None:
    grey = windowed(stored(np.array([value], dtype=np.float32)), (low, low + width))[0]
    assert grey == pytest.approx(255 * np.clip((value - low) / width, 0, 1), abs=255 * 0.51 / width + 0.05)


def test_a_slice_is_averaged_after_the_window_and_before_it_is_rounded() -> None:
    pixels = np.full((4, 4), 400, dtype=np.float32)
    pixels[:2, :2] = [[-1000, -1000], [-1000, 400]]
    assert decode(png(stored(pixels)), 2, (-1000, 400)).tolist() == [[64, 255], [255, 255]]


def test_8_bit_slices_and_radiographs_are_as_they_were() -> None:
    grey = np.array([[0, 10], [20, 30]], dtype=np.uint8)
    assert np.array_equal(decode(png(grey), 2, (-160, 240)), grey)
    assert decode(png(stored(HOUNSFIELD)), 2).tolist() == [[0, 173], [214, 255]]  # its own minimum and maximum


def test_the_store_shows_slices_through_the_window_and_begins_anew_with_another(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(stored(HOUNSFIELD)))
    manifest = pd.DataFrame({"image_id": ["a"], "path": ["a.png"], "height": [2], "width": [2]})
    for name in ("soft tissue", "lung"):
        output = tmp_path / "images_2.npy"
        refused = Quarantine("test")

        def stop() -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            build_store(manifest, tmp_path, 2, output, 1, refused, stop, window=WINDOWS["whole"])
        build_store(manifest, tmp_path, 2, output, 1, refused, window=named_window(name))
        expected = decode(tmp_path / "a.png", 2, WINDOWS[name])
        assert np.array_equal(np.load(output)[0], expected)


def cohort(**about: object) -> dict[str, object]:
    return CohortSettings.model_validate({"root": "/data", **about}).model_dump(mode="json")


def test_a_window_is_named_or_given_and_is_a_key_of_slices_alone() -> None:
    assert window_of(cohort(format="deeplesion")) == (-1000, 400)
    assert window_of(cohort(format="deeplesion", window="lung")) == (-1350, 150)
    assert window_of(cohort(format="slices", window=[-50, 150.5])) == (-50, 150.5)
    assert window_of(cohort(format="nih")) is None
    with pytest.raises(ValidationError, match="`window` is a key of CT slices, not of nih"):
        cohort(format="nih", window="lung")
    with pytest.raises(ValidationError, match="a lower and a higher value"):
        cohort(format="deeplesion", window=[240, -160])


def test_every_named_window_shows_soft_tissue() -> None:
    assert all(low < 40 < high for low, high in WINDOWS.values())
