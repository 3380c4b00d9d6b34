"""The layouts that a simulated cohort can be written in: who plans it, what its labels are, who writes its tables."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cxrflow.cohort.openi import installed_archive, read_openi
from cxrflow.cohort.openi_index import LABEL_OF
from cxrflow.cohort.simulation import mimic_tree, nih_tree
from cxrflow.cohort.simulation.nih_findings import NIH_LABEL_OF
from cxrflow.cohort.simulation.nih_plan import NihImage, plan_images
from cxrflow.cohort.simulation.nih_table import installed_table, read_nih_table
from cxrflow.cohort.simulation.radiograph import encode_jpeg, encode_png
from cxrflow.cohort.simulation.rendering import Labels, MarkedBox
from cxrflow.cohort.simulation.scene import Scene
from cxrflow.cohort.simulation.settings import SimulationSettings
from cxrflow.cohort.simulation.studies import Study, plan_studies


class Planned(Protocol):
    """An item of a plan: a study of MIMIC-CXR-JPG, an image of ChestX-ray14."""

    @property
    def scene(self) -> Scene:
        """What is drawn for it."""


@dataclass(frozen=True)
class Tree:
    """One layout.

    `folders` lie below the cohort's root, that of the images and checksums first. `labels` are those that a finding
    makes positive in this data set; `encode` gives an image file's bytes; `write` writes all other files.
    """

    folders: tuple[str, ...]
    labels: Labels
    plan: Callable[[SimulationSettings], Sequence[Planned]]
    encode: Callable[[NDArray[np.uint8], SimulationSettings], bytes]
    write: Callable[[Path, Any, dict[str, tuple[MarkedBox, ...]], SimulationSettings], None]


def _plan_mimic(settings: SimulationSettings) -> list[Study]:
    return plan_studies(read_openi(installed_archive()), settings)


def _plan_nih(settings: SimulationSettings) -> list[NihImage]:
    return plan_images(read_nih_table(installed_table()), settings)


TREES: dict[str, Tree] = {
    "mimic-cxr-jpg": Tree(
        folders=(mimic_tree.IMAGES, mimic_tree.REPORTS),
        labels=LABEL_OF,
        plan=_plan_mimic,
        encode=lambda pixels, settings: encode_jpeg(pixels, settings.jpeg_quality),
        write=mimic_tree.write_mimic,
    ),
    "nih": Tree(
        folders=(nih_tree.FOLDER,),
        labels=NIH_LABEL_OF,
        plan=_plan_nih,
        encode=lambda pixels, settings: encode_png(pixels),
        write=nih_tree.write_nih,
    ),
}
