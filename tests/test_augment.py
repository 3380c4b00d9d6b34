"""Augmented radiographs: the places that are read are those of the affine map; what is not to change does not."""

import torch
from torch.nn import functional as F

from cxrflow.augment import Augmentation, _places, augment

STILL = Augmentation(rotation=0, shift=0, zoom=0, brightness=0, contrast=0)


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_places_are_those_of_the_affine_map() -> None:
    maps = torch.randn(3, 2, 3, generator=seeded())
    expected = F.affine_grid(maps, [3, 1, 10, 10], align_corners=False)
    torch.testing.assert_close(_places(maps.flatten(1), 10), expected, atol=1e-6, rtol=1e-5)


def test_nothing_changes_where_every_change_is_zero() -> None:
    images = torch.rand(2, 1, 24, 24, generator=seeded())
    torch.testing.assert_close(augment(images, seeded(), STILL), images, atol=1e-5, rtol=0)


def test_a_flip_mirrors_some_images_and_leaves_the_others() -> None:
    images = torch.rand(16, 1, 8, 8, generator=seeded())
    seen = augment(images, seeded(), Augmentation(0, 0, 0, 0, 0, flip=True))
    mirrored = [torch.allclose(one, image.flip(-1), atol=1e-5) for one, image in zip(seen, images, strict=True)]
    unchanged = [torch.allclose(one, image, atol=1e-5) for one, image in zip(seen, images, strict=True)]
    assert any(mirrored)
    assert any(unchanged)
    assert all(one != other for one, other in zip(mirrored, unchanged, strict=True))


def test_images_stay_in_the_grey_scale_and_differ_from_draw_to_draw() -> None:
    images, generator = torch.rand(4, 1, 16, 16, generator=seeded()), seeded()
    first, second = augment(images, generator), augment(images, generator)
    assert float(first.min()) >= 0
    assert float(first.max()) <= 1
    assert not torch.equal(first, second)
