import pytest
import torch
from torch.nn import functional as F

from cxrflow.networks import moving_mean, with_local_contrast


@pytest.mark.parametrize("dim", [2, 3])
def test_running_sums_give_the_mean_of_every_window(dim):
    images = torch.randn(2, 1, 30, 41, generator=torch.Generator().manual_seed(0))
    window = (7, 1) if dim == 2 else (1, 7)
    torch.testing.assert_close(moving_mean(images, 7, dim), F.avg_pool2d(images, window, stride=1), atol=1e-5, rtol=0)


def test_local_contrast_does_not_see_a_slope_and_sees_a_dot():
    slope = torch.linspace(0, 1, 96).expand(1, 1, 96, 96).clone()
    dotted = slope.clone()
    dotted[0, 0, 50, 50] += 0.3
    flat, seen = (with_local_contrast(image)[0, 1, 20:76, 20:76] for image in (slope, dotted))
    assert int(seen.abs().argmax()) == 30 * 56 + 30
    assert seen.abs().max() > 20 * seen.abs().median()
    assert flat.std() < 0.1 * seen.abs().max()
