"""The two tables of CheXpert around the simulated images, `train.csv` and `valid.csv`."""

from pathlib import Path

import pandas as pd

from cxrflow.cohort.layouts import CHEXPERT_TABLES
from cxrflow.cohort.simulation.chexpert_plan import CheXpertStudy
from cxrflow.cohort.simulation.chexpert_table import COLUMNS
from cxrflow.cohort.simulation.rendering import MarkedBox
from cxrflow.cohort.simulation.settings import SimulationSettings
from cxrflow.files import write_table

FOLDER = "chexpert"


def write_chexpert(
    root: Path, studies: list[CheXpertStudy], boxes: dict[str, tuple[MarkedBox, ...]], settings: SimulationSettings
) -> None:
    """Write the tables below `root`; CheXpert has no boxes."""
    for table in CHEXPERT_TABLES:
        rows = [row for study in studies for row in study.rows if study.part == Path(table).stem]
        write_table(root / FOLDER / table, pd.DataFrame(rows, columns=list(COLUMNS)))
