"""From line integrals to an 8-bit radiograph: scatter, noise, processing, grey scale, markers and collimation."""

import io
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from cxrflow.cohort.simulation.anatomy import Floats
from cxrflow.cohort.simulation.patient import AP
from cxrflow.cohort.simulation.projection import transmission


@dataclass(frozen=True)
class Detector:
    """How one exposure was taken and shown.

    `scatter` is scattered over primary radiation, `dose` the photons per pixel of the open beam, `blur` in pixels,
    `flatten` how much of the large-scale contrast the processing takes away, `detail` how much it adds to edges,
    `steepness` and `middle` the shape of the grey scale, `borders` the dark collimated pixels (top, bottom, left,
    right), `marker` the letter of the side that it lies on, or none.
    """

    scatter: float
    dose: float
    blur: float
    flatten: float
    detail: float
    steepness: float
    middle: float
    borders: tuple[int, int, int, int]
    marker: str
    marker_place: tuple[float, float]
    marker_size: float


def draw_detector(rng: np.random.Generator, view: str, size: int) -> Detector:
    """Draw exposure and display; a bedside (AP) image, taken without a grid, has more scatter and noise."""
    bedside = view == AP
    borders = [int(size * rng.uniform(0.005, 0.035)) if rng.random() < 0.12 else 0 for _ in range(4)]
    marker = str(rng.choice(["L", "R"])) if rng.random() < 0.8 else ""
    return Detector(
        scatter=rng.uniform(0.5, 1.0) if bedside else rng.uniform(0.15, 0.5),
        dose=10 ** (rng.uniform(3.9, 4.4) if bedside else rng.uniform(4.2, 4.9)),
        blur=rng.uniform(0.3, 0.8),
        flatten=rng.uniform(0.25, 0.5),
        detail=rng.uniform(0.4, 1.1),
        steepness=rng.uniform(3.0, 4.4),
        middle=rng.uniform(0.42, 0.54),
        borders=(borders[0], borders[1], borders[2], borders[3]),
        marker=marker,
        marker_place=(rng.uniform(0.03, 0.09), rng.uniform(0.04, 0.16)),
        marker_size=rng.uniform(0.035, 0.055),
    )


def expose(water_cm: Floats, detector: Detector, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return the 8-bit image (rows, columns) of line integrals (cm of water); bone is white."""
    primary = transmission(water_cm)
    signal = primary + detector.scatter * _broad(primary, 10)
    noise = rng.standard_normal(signal.shape, dtype=np.float32)
    signal = signal + noise * np.sqrt(signal / np.float32(detector.dose))
    density = -np.log(np.maximum(signal, 1e-5))
    density = ndimage.gaussian_filter(density, detector.blur, truncate=3.0)
    shown = _grey(_process(density, detector), detector)
    return _collimate(_mark(shown, detector), detector)


def encode_jpeg(image: NDArray[np.uint8], quality: int) -> bytes:
    """Return the JPEG file of an 8-bit image."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="JPEG", quality=quality)
    return buffer.getvalue()


def encode_png(image: NDArray[np.uint8]) -> bytes:
    """Return the 8-bit grey PNG file of an image, quickly rather than small: noise hardly gets smaller anyway."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


def _process(density: Floats, detector: Detector) -> Floats:
    """Compress large-scale contrast and lift edges, as every digital system does before display."""
    broad = _broad(density, 12)
    size = density.shape[0]
    fine = density - ndimage.uniform_filter(density, max(3, size // 80))
    middle = density - ndimage.uniform_filter(density, max(3, size // 20))
    detail = np.float32(detector.detail) * (fine + middle)
    return density - np.float32(detector.flatten) * (broad - broad.mean()) + detail


def _grey(density: Floats, detector: Detector) -> NDArray[np.uint8]:
    """Map density to grey by a sigmoid between the darkest lung and the mediastinum."""
    inner = density[density.shape[0] // 10 : -density.shape[0] // 10, density.shape[1] // 10 : -density.shape[1] // 10]
    low, high = np.percentile(inner[::3, ::3], (1.0, 99.3))
    unit = (density - low) / max(high - low, 1e-3)
    curve = 1 / (1 + np.exp(-detector.steepness * (unit - detector.middle)))
    floor, ceiling = (1 / (1 + np.exp(-detector.steepness * (edge - detector.middle))) for edge in (-0.12, 1.1))
    return np.clip((curve - floor) / (ceiling - floor) * 255, 0, 255).astype(np.uint8)


def _broad(image: Floats, share: int) -> Floats:
    """Blur over 1/share of the image, computed on a coarse copy."""
    step = max(image.shape[0] // 64, 1)
    coarse = F.avg_pool2d(torch.from_numpy(image)[None, None], step)
    sigma = image.shape[0] / share / step / 2
    smooth = ndimage.gaussian_filter(coarse[0, 0].numpy(), sigma, mode="nearest")
    grown = F.interpolate(torch.from_numpy(smooth)[None, None], size=image.shape, mode="bilinear", align_corners=False)
    return grown[0, 0].numpy()


def _mark(image: NDArray[np.uint8], detector: Detector) -> NDArray[np.uint8]:
    """Lay the lead letter on its side: the patient's left is on the viewer's right."""
    if not detector.marker:
        return image
    size = image.shape[0]
    across, down = detector.marker_place
    letter = round(size * detector.marker_size)
    x = across * size if detector.marker == "R" else (1 - across) * size - letter
    picture = Image.fromarray(image)
    font = ImageFont.load_default(size=letter)
    ImageDraw.Draw(picture).text((x, down * size), detector.marker, fill=245, font=font)
    return np.asarray(picture)


def _collimate(image: NDArray[np.uint8], detector: Detector) -> NDArray[np.uint8]:
    top, bottom, left, right = detector.borders
    shown = image.copy()
    shown[:top], shown[:, :left] = 2, 2
    shown[shown.shape[0] - bottom :], shown[:, shown.shape[1] - right :] = 2, 2
    return shown
