"""Views: lesions are in the middle of their crops in every size of the store, other slices give two crops inside."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cxrflow.clear.augmentation import augment_view, blurred_by, windowed
from cxrflow.clear.pretraining_settings import AugmentationSettings
from cxrflow.clear.views import SliceData, ViewBatches, random_crops, two_views
from cxrflow.cohort.store import ImageStore

torch.set_num_threads(1)

SIDE, COUNT = 64, 12
PLAIN = AugmentationSettings(level=0, width=0, gamma=0, blurred=(0, 0))


def lesion_slices() -> SliceData:
    """Dark slices of 512 x 256 pixels decoded to 64 x 64, every third of them with one bright lesion of two boxes."""
    images, boxes = np.zeros((COUNT, SIDE, SIDE), dtype=np.uint8), []
    for number in range(COUNT):
        x, y = 6 + 4 * number, 50 - 3 * number
        images[number, y - 2 : y + 2, x - 2 : x + 2] = 255 if number % 3 == 0 else 0
        box = {"label": "lung", "x": 8 * (x - 3), "y": 4 * (y - 3), "w": 8 * 6.0, "h": 4 * 6.0}
        boxes.append([box, box] if number % 3 == 0 else None)
    samples = pd.DataFrame({"image_id": [f"{number:02d}" for number in range(COUNT)], "boxes": boxes})
    samples = samples.assign(width=512, height=256)
    return SliceData.of(
        samples, ImageStore(images, pd.DataFrame({"image_id": samples["image_id"], "row": range(COUNT)}))
    )


def epoch(sampling: str, number: int = 0, **changes: int) -> dict[str, torch.Tensor]:
    about = {"size": COUNT, "seed": 3, **changes}
    batches = list(ViewBatches(lesion_slices(), sampling=sampling, least_area=0.08, **about).epoch(number))  # type: ignore[arg-type]
    return {name: torch.cat([batch[name] for batch in batches]) for name in batches[0]}


def test_the_crop_of_a_key_slice_has_its_lesion_in_the_middle_and_the_other_view_is_whole() -> None:
    batch = epoch("lesion")
    whole, crop = two_views(batch, SIDE, PLAIN)
    key = batch["lesions"]
    assert key.sum() == 4
    torch.testing.assert_close(whole[key], batch["images"][key].float() / 255, atol=1e-5, rtol=0)
    line = torch.arange(SIDE) + 0.5
    for image in crop[key, 0]:
        weight = image / image.sum()
        middle = [float((weight.sum(dim=axis) * line).sum()) for axis in (0, 1)]
        assert middle == pytest.approx([SIDE / 2, SIDE / 2], abs=1.0)


def test_without_lesion_sampling_key_slices_are_like_all_others() -> None:
    batch = epoch("none")
    sides = batch["sides"]
    assert (sides[:, 0] != sides[:, 1]).all()
    assert (sides <= SIDE).all()


@given(st.floats(0.01, 1), st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_random_crops_lie_inside_and_have_the_area_they_should(least: float, seed: int) -> None:
    centres, sides = random_crops(50, SIDE, least, torch.Generator().manual_seed(seed))
    reach = sides.flip(1) / 2
    assert (centres - reach >= -1e-3).all()
    assert (centres + reach <= SIDE + 1e-3).all()
    area = sides.prod(dim=1) / SIDE**2
    assert (area <= 1 + 1e-5).all()
    assert (area >= least * 3 / 4 - 1e-5).all()


def test_an_epoch_is_a_function_of_seed_and_number_and_sees_each_slice_once() -> None:
    one, again, other = epoch("lesion"), epoch("lesion"), epoch("lesion", number=1)
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not torch.equal(one["changes"], other["changes"])
    assert epoch("lesion", size=5)["lesions"].shape == (10,)  # what does not fill a batch rests
    assert epoch("lesion", size=99)["lesions"].shape == (COUNT,)


def test_what_a_process_makes_of_its_part_is_what_one_makes_of_the_whole() -> None:
    batch = epoch("lesion")
    whole = two_views(batch, 32, AugmentationSettings(blurred=(0.5, 0.5)))
    part = two_views({name: value[4:9] for name, value in batch.items()}, 32, AugmentationSettings(blurred=(0.5, 0.5)))
    for one, other in zip(part, whole, strict=True):
        torch.testing.assert_close(one, other[4:9])


def test_changes_of_nothing_change_nothing_and_a_flip_mirrors() -> None:
    images, draws = torch.rand(4, 1, 9, 9), torch.rand(4, 6)
    torch.testing.assert_close(augment_view(images, draws, 0, PLAIN), images)
    draws[:, 5] = 0
    torch.testing.assert_close(augment_view(images, draws, 0, PLAIN.model_copy(update={"flip": True})), images.flip(-1))


def test_a_wider_window_has_less_contrast_and_a_blur_keeps_the_mean() -> None:
    ramp = torch.linspace(0, 1, 11).repeat(1, 1, 11, 1)
    wide = windowed(ramp, torch.zeros(1, 1, 1, 1), torch.full((1, 1, 1, 1), 2.0))
    torch.testing.assert_close(wide, 0.25 + ramp / 2)
    spot = torch.zeros(2, 1, 21, 21)
    spot[:, :, 10, 10] = 1
    found = blurred_by(spot, torch.tensor([0.5, 1.5]), 4)
    torch.testing.assert_close(found.sum(dim=(1, 2, 3)), torch.ones(2))
    offsets = torch.arange(21) - 10.0
    deviation = (found.sum(dim=(1, 2)) * offsets**2).sum(dim=1).sqrt()
    torch.testing.assert_close(deviation, torch.tensor([0.5, 1.5]), atol=0.05, rtol=0)
