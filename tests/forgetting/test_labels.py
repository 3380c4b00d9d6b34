"""Names cover as little as they can, and heights move apart no further than they must."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from cxrflow.forgetting.labels import covered, name_points, spread


def test_covered_area_by_hand() -> None:
    boxes = np.array([[0.0, 0, 2, 2], [5, 5, 6, 6]])
    others = np.array([[1.0, 1, 3, 3], [1, -1, 2, 1]])
    np.testing.assert_allclose(covered(boxes, others), [2, 0])


@given(st.lists(st.floats(-10, 10), min_size=0, max_size=12), st.floats(0.01, 3))
def test_spread_values_keep_their_order_and_distance(values: list[float], gap: float) -> None:
    moved = spread(values, gap)
    assert len(moved) == len(values)
    assert (np.diff(np.sort(moved)) >= gap - 1e-9).all()
    order = np.argsort(values, kind="stable")
    assert (np.diff(moved[order]) > 0).all()
    if len(values) > 1 and np.diff(np.sort(values)).min() > gap:
        np.testing.assert_allclose(moved, values)


def test_values_that_touch_keep_their_middle() -> None:
    assert spread([1.0, 1.0, 9.0], 1.0) == pytest.approx([0.5, 1.5, 9])


def test_names_of_near_points_do_not_cover_one_another_or_leave_the_panel() -> None:
    axis = Figure(figsize=(6, 5)).add_subplot()
    axis.set(xlim=(0, 1), ylim=(0, 1))
    points = [(0.5, 0.5), (0.5, 0.52), (0.51, 0.5), (0.98, 0.98), (0.5, 0.48)]
    axis.figure.draw_without_rendering()
    name_points(axis, points, [f"a class with a name {place}" for place in range(5)], others=[(0.4, 0.5)])
    boxes = np.array([text.get_window_extent().extents for text in axis.texts])
    for place in range(5):
        assert covered(boxes[[place]], np.delete(boxes, place, axis=0)) == pytest.approx(0, abs=1)
    panel = axis.get_window_extent()
    assert (boxes[:, :2] >= panel.p0 - 1).all()
    assert (boxes[:, 2:] <= panel.p1 + 1).all()
