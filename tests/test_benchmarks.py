import time

import pytest
from benchmarks.timing import NOT_MEASURED, Comparison, measure, met


@pytest.mark.parametrize(
    ("ratio", "goal", "said"), [(5, 5, "yes"), (4.99, 5, "no"), (NOT_MEASURED, NOT_MEASURED, ""), (3, NOT_MEASURED, "")]
)
def test_a_goal_is_met_from_its_value_on(ratio, goal, said):
    assert met(ratio, goal) == said


def test_both_sides_are_timed_in_turns_after_one_warm_up_each():
    order = []

    def ours():
        order.append("ours")

    def reference():
        order.append("reference")
        time.sleep(0.02)

    found = measure(Comparison("a sleep", ours, reference, goal=2, repeats=2))
    assert order == ["ours", "reference"] * 3
    assert found.reference_s >= 0.02
    assert found.met == "yes"


def test_every_room_with_comparisons_is_among_those_that_are_measured(root):
    texts = {file.stem: file.read_text() for file in (root / "benchmarks").glob("*.py")}
    listed = texts.pop("rooms")
    part_of_another = {name for name in texts if any(f"{name}.comparisons()" in text for text in texts.values())}
    rooms = {name for name, text in texts.items() if "def comparisons()" in text} - part_of_another
    assert rooms == set(listed.split("MODULES = (")[1].split(")")[0].split(", "))
