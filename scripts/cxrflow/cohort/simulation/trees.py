"""The layouts that a simulated cohort can be written in: who plans it, what its labels are, who writes its tables."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from cxrflow.cohort.openi import installed_archive, read_openi
from cxrflow.cohort.openi_index import LABEL_OF
from cxrflow.cohort.simulation import chexpert_tree, ct_tree, mimic_tree, nih_tree
from cxrflow.cohort.simulation.anatomy import Anatomy, load_anatomy
from cxrflow.cohort.simulation.chexpert_plan import CheXpertStudy, plan_chexpert
from cxrflow.cohort.simulation.chexpert_table import installed_chexpert, read_chexpert_table
from cxrflow.cohort.simulation.ct_plan import plan_ct
from cxrflow.cohort.simulation.ct_slices import render_study
from cxrflow.cohort.simulation.ct_volume import load_volume
from cxrflow.cohort.simulation.landmarks import Landmarks, find_landmarks
from cxrflow.cohort.simulation.nih_findings import NIH_LABEL_OF
from cxrflow.cohort.simulation.nih_plan import NihImage, plan_images
from cxrflow.cohort.simulation.nih_table import installed_table, read_nih_table
from cxrflow.cohort.simulation.radiograph import encode_jpeg, encode_png
from cxrflow.cohort.simulation.rendering import Labels, MarkedBox, Rendered, render_scene
from cxrflow.cohort.simulation.scene import Scene
from cxrflow.cohort.simulation.settings import SimulationSettings
from cxrflow.cohort.simulation.studies import Study, plan_studies


class Drawn(Protocol):
    """What is drawn at once: images of one visit of one patient, by their ids and their paths below the tree's root."""

    @property
    def name(self) -> str:
        """Name of the record of boxes."""

    @property
    def images(self) -> tuple[str, ...]:
        """Ids."""

    @property
    def files(self) -> tuple[str, ...]:
        """Paths."""


class Planned(Protocol):
    """An item of a plan: a study of MIMIC-CXR-JPG, CheXpert or DeepLesion, an image of ChestX-ray14."""

    @property
    def scene(self) -> Drawn:
        """What is drawn for it."""


@dataclass(frozen=True)
class Tree:
    """One layout.

    `folders` lie below the cohort's root, that of the images and checksums first. `load` reads the file of the anatomy;
    `render` draws the numbered images of a scene from it; `encode` gives an image file's bytes; `write` writes all
    other files.
    """

    folders: tuple[str, ...]
    plan: Callable[[SimulationSettings], Sequence[Planned]]
    load: Callable[[Path], Any]
    render: Callable[[Any, list[int], Any, SimulationSettings], list[Rendered]]
    encode: Callable[[Any, SimulationSettings], bytes]
    write: Callable[[Path, Any, dict[str, tuple[MarkedBox, ...]], SimulationSettings], None]


def _plan_mimic(settings: SimulationSettings) -> list[Study]:
    return plan_studies(read_openi(installed_archive()), settings)


def _plan_nih(settings: SimulationSettings) -> list[NihImage]:
    return plan_images(read_nih_table(installed_table()), settings)


def _plan_chexpert(settings: SimulationSettings) -> list[CheXpertStudy]:
    return plan_chexpert(read_chexpert_table(installed_chexpert()), settings)


def _load_chest(path: Path) -> tuple[Anatomy, Landmarks]:
    anatomy = load_anatomy(path)
    return anatomy, find_landmarks(anatomy)


def _radiographs(labels: Labels) -> Callable[[Scene, list[int], Any, SimulationSettings], list[Rendered]]:
    """Return the drawing of radiographs for a data set in which a finding makes these labels positive."""

    def render(
        scene: Scene, images: list[int], chest: tuple[Anatomy, Landmarks], settings: SimulationSettings
    ) -> list[Rendered]:
        return render_scene(scene, images, *chest, labels, settings)

    return render


TREES: dict[str, Tree] = {
    "mimic-cxr-jpg": Tree(
        folders=(mimic_tree.IMAGES, mimic_tree.REPORTS),
        plan=_plan_mimic,
        load=_load_chest,
        render=_radiographs(LABEL_OF),
        encode=lambda pixels, settings: encode_jpeg(pixels, settings.jpeg_quality),
        write=mimic_tree.write_mimic,
    ),
    "nih": Tree(
        folders=(nih_tree.FOLDER,),
        plan=_plan_nih,
        load=_load_chest,
        render=_radiographs(NIH_LABEL_OF),
        encode=lambda pixels, settings: encode_png(pixels),
        write=nih_tree.write_nih,
    ),
    "chexpert": Tree(
        folders=(chexpert_tree.FOLDER,),
        plan=_plan_chexpert,
        load=_load_chest,
        render=_radiographs(LABEL_OF),
        encode=lambda pixels, settings: encode_jpeg(pixels, settings.jpeg_quality),
        write=chexpert_tree.write_chexpert,
    ),
    "deeplesion": Tree(
        folders=(ct_tree.FOLDER,),
        plan=plan_ct,
        load=load_volume,
        render=render_study,
        encode=lambda pixels, settings: ct_tree.encode_slice(pixels),
        write=ct_tree.write_deeplesion,
    ),
}
