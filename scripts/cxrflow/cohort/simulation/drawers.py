"""How each finding of the index is drawn into a volume: what, how large, how dense, by its degree from 0 to 1."""

from collections.abc import Callable

import numpy as np

from cxrflow.cohort.openi_index import IndexedFinding
from cxrflow.cohort.simulation import air, aorta, chest_wall, devices, opacities, pleura
from cxrflow.cohort.simulation.canvas import Canvas, chord, ramp
from cxrflow.cohort.simulation.projection import Part

Drawer = Callable[[Canvas, np.random.Generator, IndexedFinding, str, float], list[Part]]


def _consolidation(
    canvas: Canvas, rng: np.random.Generator, finding: IndexedFinding, side: str, amount: float
) -> list[Part]:
    reach = rng.uniform(24, 40, 3) * (0.85 + 0.4 * amount)
    density = rng.uniform(0.5, 0.75) + 0.2 * amount
    return [opacities.airspace(canvas, rng, side, finding.site, density, (reach[0], reach[1], reach[2]))]


def _opacity(canvas: Canvas, rng: np.random.Generator, finding: IndexedFinding, side: str, amount: float) -> list[Part]:
    if "streaky" in finding.path.lower() and rng.random() < 0.7:
        return _atelectasis(canvas, rng, finding, side, amount)
    if "interstitial" in finding.path.lower() or "reticular" in finding.path.lower():
        return [opacities.reticulation(canvas, rng, side, 0.7 + 0.6 * amount)]
    reach = rng.uniform(22, 40, 3)
    density = rng.uniform(0.38, 0.62) + 0.15 * amount
    return [opacities.airspace(canvas, rng, side, finding.site, density, (reach[0], reach[1], reach[2]))]


def _atelectasis(
    canvas: Canvas, rng: np.random.Generator, finding: IndexedFinding, side: str, amount: float
) -> list[Part]:
    site = finding.site or str(rng.choice(["base", "lower", "base", "middle"]))
    count = int(rng.integers(1, 3 + round(amount)))
    parts = [opacities.band(canvas, rng, side, site, rng.uniform(28, 70), rng.uniform(2.0, 4.5)) for _ in range(count)]
    if rng.random() < 0.4:
        parts.append(opacities.airspace(canvas, rng, side, "base", rng.uniform(0.2, 0.4), (26, 14, 32)))
    return parts


def _nodule(canvas: Canvas, rng: np.random.Generator, finding: IndexedFinding, side: str, amount: float) -> list[Part]:
    return [opacities.nodule(canvas, rng, side, finding.site, rng.uniform(12, 21) + 9 * amount, rng.uniform(1.2, 1.7))]


def _mass(canvas: Canvas, rng: np.random.Generator, finding: IndexedFinding, side: str, amount: float) -> list[Part]:
    return [opacities.nodule(canvas, rng, side, finding.site, rng.uniform(31, 45) + 18 * amount, 1.03)]


def _granuloma(
    canvas: Canvas, rng: np.random.Generator, finding: IndexedFinding, side: str, amount: float
) -> list[Part]:
    return [opacities.nodule(canvas, rng, side, finding.site, rng.uniform(6, 11), rng.uniform(3.0, 5.0))]


def _cavity(canvas: Canvas, rng: np.random.Generator, finding: IndexedFinding, side: str, amount: float) -> list[Part]:
    return [opacities.ring(canvas, rng, side, finding.site, rng.uniform(22, 40))]


def _effusion(
    canvas: Canvas, rng: np.random.Generator, finding: IndexedFinding, side: str, amount: float
) -> list[Part]:
    return [pleura.effusion(canvas, rng, side, rng.uniform(44, 66) + 58 * amount)]


def _blunted(canvas: Canvas, rng: np.random.Generator, finding: IndexedFinding, side: str, amount: float) -> list[Part]:
    return [pleura.effusion(canvas, rng, side, rng.uniform(36, 50))]


def _pneumothorax(
    canvas: Canvas, rng: np.random.Generator, finding: IndexedFinding, side: str, amount: float
) -> list[Part]:
    return [pleura.pneumothorax(canvas, rng, side, rng.uniform(13, 22) + 32 * amount)]


def _thickening(
    canvas: Canvas, rng: np.random.Generator, finding: IndexedFinding, side: str, amount: float
) -> list[Part]:
    return [pleura.thickening(canvas, rng, side, finding.site)]


def _edema(canvas: Canvas, rng: np.random.Generator, finding: IndexedFinding, side: str, amount: float) -> list[Part]:
    mild = 0.6 if finding.finding == "congestion" else 1.0
    return [opacities.edema(canvas, rng, side, mild * (0.5 + 0.5 * amount))]


def _reticulation(
    canvas: Canvas, rng: np.random.Generator, finding: IndexedFinding, side: str, amount: float
) -> list[Part]:
    return [opacities.reticulation(canvas, rng, side, 0.6 + 0.6 * amount)]


def _scar(canvas: Canvas, rng: np.random.Generator, finding: IndexedFinding, side: str, amount: float) -> list[Part]:
    return [opacities.band(canvas, rng, side, finding.site, rng.uniform(12, 32), rng.uniform(1.0, 2.2))]


def _device(canvas: Canvas, rng: np.random.Generator, finding: IndexedFinding, side: str, amount: float) -> list[Part]:
    return devices.device(canvas, rng, finding.side, finding.site, finding.path)


def _hernia(canvas: Canvas, rng: np.random.Generator, finding: IndexedFinding, side: str, amount: float) -> list[Part]:
    """A pouch of stomach behind the heart, with gas above fluid."""
    level, radius = 48 + rng.normal(0, 5), rng.uniform(20, 32)
    window = canvas.window((-35, level, 10), (radius, radius, radius))
    depth, down, across = canvas.places(window)
    away2 = (down - level) ** 2 + ((across - 10) / 1.15) ** 2
    thickness = chord(radius**2 - away2, depth, -35, canvas.anatomy.spacing[0])
    inside = thickness / np.float32(canvas.anatomy.spacing[0])
    gas = inside * ramp(level - rng.uniform(0, 0.4) * radius - down, 1.5)
    values = inside * canvas.room(window) - gas * np.float32(0.7 * canvas.slab_cm)
    return [canvas.add(window, values * np.float32(min(canvas.strength, 1.0)))]


def _subcutaneous(
    canvas: Canvas, rng: np.random.Generator, finding: IndexedFinding, side: str, amount: float
) -> list[Part]:
    return chest_wall.subcutaneous_emphysema(canvas, rng, side, amount)


def _pneumomediastinum(
    canvas: Canvas, rng: np.random.Generator, finding: IndexedFinding, side: str, amount: float
) -> list[Part]:
    return air.pneumomediastinum(canvas, rng, amount)


def _pneumoperitoneum(
    canvas: Canvas, rng: np.random.Generator, finding: IndexedFinding, side: str, amount: float
) -> list[Part]:
    return air.pneumoperitoneum(canvas, rng, side, amount)


def _tortuous(
    canvas: Canvas, rng: np.random.Generator, finding: IndexedFinding, side: str, amount: float
) -> list[Part]:
    return aorta.tortuous_aorta(canvas, rng, amount)


def _chalk(canvas: Canvas, rng: np.random.Generator, finding: IndexedFinding, side: str, amount: float) -> list[Part]:
    return aorta.aortic_calcification(canvas, rng, amount)


DRAWERS: dict[str, Drawer] = {
    "aortic_calcification": _chalk,
    "atelectasis": _atelectasis,
    "blunted_angle": _blunted,
    "calcification": _granuloma,
    "cavity": _cavity,
    "congestion": _edema,
    "consolidation": _consolidation,
    "device": _device,
    "edema": _edema,
    "effusion": _effusion,
    "fibrosis": _reticulation,
    "granuloma": _granuloma,
    "granulomatous_disease": _granuloma,
    "heart_failure": _edema,
    "hernia": _hernia,
    "interstitial_disease": _reticulation,
    "mass": _mass,
    "nodule": _nodule,
    "opacity": _opacity,
    "pleural_thickening": _thickening,
    "pneumomediastinum": _pneumomediastinum,
    "pneumonia": _consolidation,
    "pneumoperitoneum": _pneumoperitoneum,
    "pneumothorax": _pneumothorax,
    "scar": _scar,
    "subcutaneous_emphysema": _subcutaneous,
    "tortuous_aorta": _tortuous,
    "volume_loss": _atelectasis,
}
