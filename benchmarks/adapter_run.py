"""One run of the adapter and the split; as a program, alone in its process, it prints its peak memory."""

import json
import sys
from pathlib import Path

from benchmarks.timing import peak_mb
from cxrflow.cohort.adapters.raw import Source
from cxrflow.cohort.adapters.reading import read_cohort
from cxrflow.cohort.quarantine import Quarantine
from cxrflow.cohort.settings import ReadingSettings
from cxrflow.cohort.splits import assert_disjoint, split_images


def read_tree(folder: Path) -> dict[str, float]:
    """Read a made-up MIMIC-CXR-JPG with the zip of its reports; return what was found and the peak memory so far."""
    source = Source(folder, folder, folder / "reports.zip")
    refused = Quarantine("benchmark")
    cohort = read_cohort("mimic-cxr-jpg", source, ReadingSettings(), refused, workers=2)
    assert_disjoint(split_images(cohort.manifest, cohort.labels, (0.7, 0.1, 0.2), 0))
    peak = peak_mb()
    return {
        "peak_mb": peak,
        "images": len(cohort.manifest),
        "reports": len(cohort.reports),
        "refused": len(refused.rows),
    }


if __name__ == "__main__":
    print(json.dumps(read_tree(Path(sys.argv[1]))))
