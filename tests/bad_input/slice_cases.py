"""Bad inputs of DeepLesion: its table of boxes, and its slices of 16 bits."""

from collections.abc import Callable
from pathlib import Path

from tests.bad_input.case import Area, Case, error, row, whole_way
from tests.bad_input.image_cases import BROKEN
from tests.cohort.test_deeplesion import HEADER, ROWS, Tree
from tests.cohort.test_deeplesion import row as lesion

from cxrflow.cohort.adapters.raw import Source

TABLE, SLICES = "DL_info.csv", "Images_png/"
NAME = "000001_01_01_109.png"
BOX = "the box is not four numbers"
OUTSIDE = "the box has no area or lies outside of the image"


def first(**facts: str) -> Callable[[Tree], None]:
    """Write the first row of the table with other facts."""
    return lambda made: made.table([lesion(NAME, **facts), *ROWS[1:]])


def read(made: Tree) -> list[str]:
    return whole_way("deeplesion", Source(made.root, made.root), made.root.parent)


def slice_file(made: Tree) -> Path:
    return made.root / "Images_png/000001_01_01/109.png"


CASES: tuple[Case, ...] = (
    row("a box of three numbers", TABLE, BOX, first(box="10, 12, 20")),
    row("a box of words", TABLE, BOX, first(box="left, 12, 20, 30")),
    row("a box of infinite size", TABLE, BOX, first(box="10, 12, inf, 30")),
    row("a box without area", TABLE, OUTSIDE, first(box="20, 12, 20, 30")),
    row("a box far outside of the slice", TABLE, OUTSIDE, first(box="10, 12, 200, 30")),
    row("an unknown type", TABLE, "the lesion's type is not 1 to 8 or -1", first(kind="9")),
    row("an unknown split", TABLE, "the split is not 1, 2 or 3", first(split="4")),
    row("a file named after another patient", TABLE, "the file's name and the indices do not belong together",
        first(indices="7,1,1,109")),
    row("a range that leaves out its key slice", TABLE, "the range of slices is not two numbers", first(slices="1, 5")),
    row("a size in words", TABLE, "the image's size is not two numbers", first(size="large, large")),
    row("a size other than the file's", TABLE, "the file has another size", first(size="128, 128")),
    row("a lesion marked as possibly noisy", TABLE, "marked as possibly noisy", first(noisy="1")),
    row("a mark of noise that is neither 0 nor 1", TABLE, "Possibly_noisy is neither", first(noisy="perhaps")),
    row("a missing slice", SLICES, "the image file is missing", lambda made: slice_file(made).unlink()),
    row("a slice cut off in the middle", SLICES, BROKEN,
        lambda made: slice_file(made).write_bytes(slice_file(made).read_bytes()[:-60])),
    error("a patient in two splits", TABLE, "in more than one split",
          lambda made: made.table([*ROWS, lesion("000001_02_01_021.png", split="1", slices="18, 21")])),
    error("no column of boxes", TABLE, "lacks ['Bounding_boxes']",
          lambda made: made.table(ROWS, HEADER.replace("Bounding_boxes", "Rectangles"))),
    error("no table", TABLE, "missing", lambda made: (made.root / TABLE).unlink()),
)  # fmt: skip

CT = (Area("DeepLesion", Tree, read, CASES),)
