"""Attention side by side: does what a system looks at lie where the finding is known to be? Against chance and centre.

Three measures of one idea. neural: the part of the few patches that its attention would keep which lies in boxes of the
finding. patchib: whether the patch with most heat, or the highest logit of a mask, lies in them. clear: whether the
slice with most attention is one with a marked lesion.
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from cxrflow.clear.downstream_settings import MeasuringSettings
from cxrflow.clear.slice_order import slices_in_order
from cxrflow.clear.slice_pointing import read_seeds, slice_pointing
from cxrflow.cohort.cohort_files import CohortFiles

CENTRE = "centre"
LESION = "marked lesion"
"""What clear looks for: any lesion, whatever its type."""
COLUMNS = [
    *("system", "cohort", "simulated", "n_seeds", "looks", "finding", "metric", "value", "low", "high", "chance"),
    *(CENTRE, "n", "n_patients"),
]


def of_neural(pointing: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of selectors (but the centre, which they are compared with) at the smallest share of patches.

    `looks` is `attention, <text> text` or the selector's name.
    """
    kept = pointing[pointing["metric"] == "kept_in_box"]
    kept = kept[kept["kept_percent"] == kept["kept_percent"].min()]
    middle = kept[kept["selector"] == CENTRE].set_index("finding")["value"]
    rows = kept[kept["selector"] != CENTRE]
    guided = rows["selector"] == "attention"
    looks = rows["selector"].where(~guided, rows["text"].map("attention, {} text".format))
    rows = rows.assign(system="neural", n_seeds=1, looks=looks)
    return rows.assign(**{CENTRE: rows["finding"].map(middle)})[COLUMNS]


def of_patchib(grounding: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the pointing game; `looks` is `model <name>, <prompt or mask>`."""
    rows = grounding[grounding["metric"] == "pointing"]
    looks = [f"model {model}, {kind}" for model, kind in zip(rows["model"], rows["kind"], strict=True)]
    return rows.assign(system="patchib", looks=looks)[COLUMNS]


def of_clear(
    cohort: CohortFiles, attention: Sequence[Path | str], task: str, name: str, simulated: bool, how: MeasuringSettings
) -> pd.DataFrame:
    """Return one row per encoder; `name` is the cohort's."""
    rows = slice_pointing(read_seeds(attention, task), slices_in_order(cohort), how)
    rows = rows.assign(cohort=name, simulated=simulated, system="clear", finding=LESION, metric="slice_pointing")
    return rows.rename(columns={"encoder": "looks"})[COLUMNS]


def pointing_table(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return the rows of all systems; no row where no cohort has boxes."""
    known = [part for part in parts if len(part)]
    return pd.concat(known, ignore_index=True) if known else pd.DataFrame(columns=COLUMNS)
