"""Patients on a plane: the two directions in which the mean features of their slices differ most, by lesion."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxrflow.clear.feature_store import FeatureStore
from cxrflow.clear.pictures import note, spoken
from cxrflow.clear.tasks import Task
from cxrflow.plotting import PALETTE, figure_style, panel_columns, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE = 3.7  # inches of a panel
SEVERAL, NONE = "several", "none of them"
OTHERS = {SEVERAL: ("0.45", "x"), NONE: ("0.75", ".")}
"""Bags without exactly one label: colour and marker."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")


class Plane(NamedTuple):
    """Places (B, 2) of bags, and which share of the variance each direction has."""

    places: NDArray[np.float64]
    shares: NDArray[np.float64]


def bag_means(store: FeatureStore, bags: Sequence[str]) -> NDArray[np.float64]:
    """Return the mean features (B, d) of the slices of each bag."""
    starts, counts = store.bags(bags)
    means = [
        store.features[start : start + count].mean(axis=0, dtype=np.float64)
        for start, count in zip(starts.tolist(), counts.tolist(), strict=True)
    ]
    return np.stack(means)


def principal_plane(features: NDArray[np.float64]) -> Plane:
    """Return the first two principal components of features (B, d), each brought to mean 0 and spread 1.

    Directions are turned so that the largest coordinate of each is positive: the same on every machine.
    """
    spread = features.std(axis=0)
    scaled = (features - features.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    left, sizes, _ = np.linalg.svd(scaled, full_matrices=False)
    places = left[:, :2] * sizes[:2]
    places = places * np.sign(places[np.abs(places).argmax(axis=0), np.arange(places.shape[1])])
    return Plane(places, sizes[:2] ** 2 / max(1e-12, float((sizes**2).sum())))


def kinds_of(rows: pd.DataFrame, labels: Sequence[str]) -> NDArray[np.str_]:
    """Return the one label (B,) that each row of a task has, or that it has several or none."""
    present = rows[list(labels)].eq(1.0).to_numpy()
    one = np.array(labels)[present.argmax(axis=1)]
    count = present.sum(axis=1)
    return np.where(count == 1, one, np.where(count > 1, SEVERAL, NONE))


def plot_embedding(stores: Mapping[str, FeatureStore], task: Task, simulated: bool, outputs: Sequence[Path]) -> None:
    """Draw a panel per encoder: the bags of a task, coloured by their label."""
    import matplotlib.pyplot as plt

    kinds, bags = kinds_of(task.rows, task.labels), task.rows["bag"].tolist()
    columns = panel_columns(len(stores))
    count = -(-len(stores) // columns)
    with figure_style():
        size = (SIZE * columns, SIZE * count + 0.6)
        figure, axes = plt.subplots(count, columns, figsize=size, squeeze=False, layout="constrained")
        for axis, (encoder, store) in zip(axes.flat, stores.items(), strict=False):
            plane = principal_plane(bag_means(store, bags))
            _draw(axis, plane, kinds, task.labels)
            axis.set_title(encoder, fontsize=10)
        for axis in axes.flat[len(stores) :]:
            axis.set_axis_off()
        handles, names = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper center", ncols=5, frameon=False)
        note(figure, _caption(task), simulated)
        save_figure(figure, *outputs)


def _draw(axis: "Axes", plane: Plane, kinds: NDArray[np.str_], labels: Sequence[str]) -> None:
    styles = {
        label: (PALETTE[place % len(PALETTE)], MARKERS[place % len(MARKERS)]) for place, label in enumerate(labels)
    }
    for kind, (colour, marker) in (styles | OTHERS).items():
        own = kinds == kind
        if own.any():
            axis.scatter(
                plane.places[own, 0],
                plane.places[own, 1],
                s=18,
                color=colour,
                marker=marker,
                linewidths=0.8,
                label=kind,
            )
    axis.set_xlabel(f"{100 * plane.shares[0]:.0f} % of the variance", fontsize=9)
    axis.set_ylabel(f"{100 * plane.shares[1]:.0f} %", fontsize=9)
    axis.tick_params(labelsize=8)


def _caption(task: Task) -> str:
    return (
        f"Task {spoken(task.name)}, all {len(task.rows):,} patients or studies that it tells of, first seed "
        "of each encoder. A point is the mean over all slices; axes: the first two principal components."
    )
