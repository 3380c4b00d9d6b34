import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from cxrflow.clear.slices import box_centres, crops, draw_sides, lesion_crops

SIDE = 64
inside = st.floats(0, SIDE)


def places(side: int = SIDE) -> torch.Tensor:
    """An image (1, 2, side, side) that says of each pixel where its middle lies: x, y."""
    line = torch.arange(side) + 0.5
    return torch.stack([line.expand(side, side), line[:, None].expand(side, side)])[None]


@given(inside, inside, inside, inside, st.floats(10, 63), st.floats(10, 63), st.sampled_from([16, 32, 48]))
def test_a_crop_is_centred_on_the_middle_of_its_box(
    x1: float, y1: float, x2: float, y2: float, height: float, width: float, size: int
) -> None:
    box = torch.tensor([[min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)]])
    ones = torch.ones(1, 1, 3 * SIDE, 3 * SIDE)
    image = torch.cat([places(3 * SIDE), ones], dim=1)  # the box lies in its middle third: no border is in the crop
    crop = lesion_crops(image, box + SIDE, torch.tensor([[height, width]]), size)[0]
    middle = crop[:2, size // 2 - 1 : size // 2 + 1, size // 2 - 1 : size // 2 + 1].mean(dim=(1, 2))
    assert torch.allclose(middle, box_centres(box)[0] + SIDE, atol=1e-3)
    assert torch.allclose(crop[2], torch.ones(size, size), atol=1e-5)


@given(inside, inside, st.floats(8, 63), st.floats(8, 63))
def test_a_crop_reaches_half_its_sides_from_the_centre(x: float, y: float, height: float, width: float) -> None:
    image, centre = places(3 * SIDE), torch.tensor([[x + SIDE, y + SIDE]])
    crop = crops(image, centre, torch.tensor([[height, width]]), 16)[0]
    half = torch.tensor([width, height]) / 2 * (1 - 1 / 16)  # from the middle of the first pixel to that of the last
    assert torch.allclose(crop[:, 0, 0], centre[0] - half, atol=1e-3)
    assert torch.allclose(crop[:, -1, -1], centre[0] + half, atol=1e-3)


@given(inside, inside, st.floats(10, 63), st.floats(10, 63))
def test_the_middle_of_the_box_is_always_in_its_crop_and_the_outside_is_black(
    x: float, y: float, height: float, width: float
) -> None:
    box = torch.tensor([[x, y, x, y]])
    crop = lesion_crops(torch.ones(1, 1, SIDE, SIDE), box, torch.tensor([[height, width]]), 32)[0, 0]
    assert crop[15:17, 15:17].max() > 0
    bounds = x - width / 2, x + width / 2, y - height / 2, y + height / 2
    seen = max(min(bounds[1], SIDE) - max(bounds[0], 0), 0) * max(min(bounds[3], SIDE) - max(bounds[2], 0), 0)
    assert crop.mean().item() == pytest.approx(seen / (width * height), abs=0.1)


def test_the_whole_slice_at_its_own_size_stays_as_it_is() -> None:
    image = torch.rand(2, 1, SIDE, SIDE)
    whole = torch.full((2, 2), float(SIDE))
    assert torch.allclose(crops(image, whole / 2, whole, SIDE), image, atol=1e-5)


def test_a_smaller_copy_of_the_whole_slice_is_averaged_over_area() -> None:
    image = torch.rand(1, 1, SIDE, SIDE)
    whole = torch.full((1, 2), float(SIDE))
    for size in (32, 16):
        assert torch.allclose(crops(image, whole / 2, whole, size), F.avg_pool2d(image, SIDE // size), atol=1e-5)


@given(st.integers(1, 5), st.integers(0, 1000))
def test_a_crop_does_not_depend_on_the_others_in_the_batch(count: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(count, 1, SIDE, SIDE, generator=generator)
    boxes = (torch.rand(count, 4, generator=generator) * SIDE).sort(dim=1).values
    sides = draw_sides(count, SIDE, SIDE, generator)
    batch = lesion_crops(images, boxes, sides, 24)
    alone = [lesion_crops(*(part[one : one + 1] for part in (images, boxes, sides)), 24) for one in range(count)]
    assert torch.allclose(batch, torch.cat(alone), atol=1e-6)


@given(st.integers(0, 1000))
def test_a_mirrored_slice_gives_the_mirrored_crop(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand(1, 1, SIDE, SIDE, generator=generator)
    box = torch.tensor([[10.0, 20.0, 30.0, 28.0]])
    mirrored = torch.tensor([[SIDE - 30.0, 20.0, SIDE - 10.0, 28.0]])
    sides = draw_sides(1, SIDE, SIDE, generator)
    crop = lesion_crops(image, box, sides, 20)
    assert torch.allclose(lesion_crops(image.flip(-1), mirrored, sides, 20), crop.flip(-1), atol=1e-4)


@given(st.integers(1, 600), st.integers(1, 600), st.integers(0, 100))
def test_sides_lie_between_the_smallest_crops_and_the_slices(height: int, width: int, seed: int) -> None:
    sides = draw_sides(50, height, width, torch.Generator().manual_seed(seed))
    whole = torch.tensor([height, width])
    assert (sides <= whole).all()
    assert (sides >= 0.2828 * whole).all()  # the root of 0.08


def test_height_and_width_are_drawn_for_themselves_over_their_whole_range() -> None:
    sides = draw_sides(5000, 512, 512, torch.Generator().manual_seed(0))
    assert sides.amin() < 150
    assert sides.amax() > 507
    assert torch.corrcoef(sides.T)[0, 1].abs() < 0.05
    assert sides.mean().item() == pytest.approx((144.8 + 512) / 2, rel=0.02)
