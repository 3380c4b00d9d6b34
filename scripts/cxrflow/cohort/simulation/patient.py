"""What differs from patient to patient and from exposure to exposure, drawn from seeds."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

PA, AP = "PA", "AP"


@dataclass(frozen=True)
class Patient:
    """One body. Scales are relative to the anatomy; lengths are millimetres.

    `waves` (modes, 8) holds the smooth deformation: amplitudes (across, down, and both once more per 100 mm of depth),
    two wave numbers (1/mm) and two phases. `domes` is how far the right and left diaphragm stand higher.
    """

    width: float
    height: float
    flank: float
    depth: float
    bone: float
    lung: float
    vessels: float
    heart: float
    mediastinum: float
    domes: tuple[float, float]
    scoliosis: float
    breasts: float
    waves: NDArray[np.float64]


@dataclass(frozen=True)
class Exposure:
    """One shot of that body.

    Angles are degrees (yaw about the long axis, tilt towards the feet, roll in the image plane); `shift` and `field`
    are millimetres in the plane of the central ray's isocentre; `distance` is from source to isocentre.
    """

    view: str
    yaw: float
    tilt: float
    roll: float
    shift: tuple[float, float]
    field: float
    distance: float


def draw_patient(rng: np.random.Generator, sex: str | None = None) -> Patient:
    """Draw a body in the normal range: a heart of 0.40 to 0.52 of the chest's width, both sexes, slim to stout.

    The `sex`, 'F' or 'M', is drawn as well where it is not given.
    """
    modes = 5
    waves = np.concatenate(
        [
            rng.normal(0, 2.4, (modes, 2)),
            rng.normal(0, 1.2, (modes, 2)),
            rng.normal(0, 1 / 55, (modes, 2)),
            rng.uniform(0, 2 * np.pi, (modes, 2)),
        ],
        axis=1,
    )
    return Patient(
        width=rng.uniform(0.93, 1.1),
        height=rng.uniform(0.9, 1.06),
        flank=rng.uniform(0.75, 1.6),
        depth=rng.uniform(0.8, 1.25),
        bone=rng.uniform(0.8, 1.5),
        lung=rng.uniform(0.85, 1.3),
        vessels=rng.uniform(0.8, 1.6),
        heart=rng.uniform(0.8, 1.03),
        mediastinum=rng.uniform(0.85, 1.1),
        domes=(rng.normal(0, 6), rng.normal(0, 6)),
        scoliosis=rng.normal(0, 2),
        breasts=rng.uniform(0.5, 1.3) if (rng.random() < 0.45 if sex is None else sex == "F") else 0.0,
        waves=waves,
    )


def draw_exposure(rng: np.random.Generator, bedside: bool, height: float, view: str | None = None) -> Exposure:
    """Draw one exposure of a patient of relative `height`; its `view` as well where it is not given.

    `bedside` makes a supine AP view likely: from nearer, and turned and tilted more. The field is larger than the lungs
    and ends, like a radiograph's, about the lower neck, where the scan ends too.
    """
    drawn = AP if rng.random() < (0.85 if bedside else 0.22) else PA
    view = view or drawn
    spread = 1.6 if view == AP else 1.0
    return Exposure(
        view=view,
        yaw=rng.normal(0, 2.2) * spread,
        tilt=rng.normal(0, 2.0) * spread + (3.0 if view == AP else 0.0),
        roll=rng.normal(0, 1.3) * spread,
        shift=(rng.normal(0, 5) * spread, rng.uniform(-4, 5) * height),
        field=rng.uniform(276, 312) * height**0.8,
        distance=rng.uniform(950, 1150) if view == AP else rng.uniform(1600, 1750),
    )


def with_heart(patient: Patient, heart: float) -> Patient:
    """Return the same body with another heart size."""
    return replace(patient, heart=heart)
