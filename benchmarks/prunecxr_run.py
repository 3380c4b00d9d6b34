"""One job of the analysis; as a program (FOLDER, job, seeds), alone in its process, it prints its peak memory."""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from tests.forgetting.made_up import made_up_probabilities, made_up_truth, training_labels

from benchmarks.timing import peak_mb
from cxrflow.cohort.long_tail import NIH_CLASSES
from cxrflow.forgetting.ensembles import seed_loaders
from cxrflow.forgetting.exemplar_tables import ExemplarFiles, write_exemplars
from cxrflow.forgetting.measures import by_way, measure_seed, save_measures, validated_thresholds
from cxrflow.forgetting.predictions import DENSE, Truth, write_predictions
from cxrflow.forgetting.settings import ExemplarSettings, ForgettingSettings
from cxrflow.forgetting.tables import ForgettingFiles, forgetting_tables, write_tables

SEEDS, TEST_IMAGES, VALIDATION_IMAGES, TRAINING_IMAGES = 30, 25_596, 10_000, 80_000
IMAGES_PER_PATIENT = 9  # 2,797 patients
SPARSITIES = tuple(round(0.05 * step, 2) for step in range(20))
CLASSES = tuple(NIH_CLASSES)
PREVALENCES = np.array(list(NIH_CLASSES.values())) / TRAINING_IMAGES
WAY, COHORT = "l1", "made-up"


@cache
def truth(images: int) -> Truth:
    """Return the labels of a made-up split; patient ids are numbers, as those of ChestX-ray14."""
    found = made_up_truth(images, CLASSES, PREVALENCES, IMAGES_PER_PATIENT)
    return replace(found, patient_ids=np.char.lstrip(found.patient_ids, "p"))


def write(folder: Path, seeds: Sequence[int]) -> None:
    """Make up the predictions of each seed: of the test split at every sparsity, of the validate split unpruned."""
    for seed in seeds:
        _write(_predictions(folder, seed), truth(TEST_IMAGES), seed, SPARSITIES)
        _write(_validation(folder, seed), truth(VALIDATION_IMAGES), seed, SPARSITIES[:1])


def measure(folder: Path, seeds: Sequence[int]) -> None:
    """Measure each seed."""
    for seed in seeds:
        thresholds = validated_thresholds([_validation(folder, seed)], truth(VALIDATION_IMAGES))
        files = [_predictions(folder, seed)]
        measured = measure_seed(files, truth(TEST_IMAGES), [WAY], ForgettingSettings(), thresholds)
        save_measures(_measures(folder, seed), measured)


def tables(folder: Path, _: Sequence[int]) -> None:
    """Make the tables of forgetting from the measures of all seeds."""
    ways = by_way([_measures(folder, seed) for seed in range(SEEDS)])
    training = training_labels(TRAINING_IMAGES, PREVALENCES)
    found = forgetting_tables(ways, truth(TEST_IMAGES), training, ForgettingSettings(), COHORT, False)
    write_tables(ForgettingFiles(*(folder / f"{field.name}.csv" for field in fields(ForgettingFiles))), found)


def exemplars(folder: Path, _: Sequence[int]) -> None:
    """Make the tables of exemplars from the predictions of all seeds."""
    files = [_predictions(folder, seed) for seed in range(SEEDS)]
    loaders = seed_loaders(files, WAY, truth(TEST_IMAGES).image_ids.tolist())
    outputs = ExemplarFiles(*(folder / f"{field.name}.csv" for field in fields(ExemplarFiles)))
    settings = ExemplarSettings(), ForgettingSettings()
    write_exemplars(outputs, loaders, truth(TEST_IMAGES), *settings, COHORT, False)


def figures(folder: Path, _: Sequence[int]) -> None:
    """Draw all figures from the tables."""
    from cxrflow.forgetting.exemplar_figures import plot_exemplars
    from cxrflow.forgetting.figures import Words, plot_curves, plot_overall
    from cxrflow.forgetting.relation_figures import plot_correlations, plot_dissimilarity, plot_legacy

    words = Words("weights removed", {WAY: "smallest weights"})

    def draw(plot: Callable[..., None], *names: str) -> None:
        outputs = [folder / f"{plot.__name__}.{kind}" for kind in ("png", "pdf")]
        plot(*(pd.read_parquet(folder / f"{name}.parquet") for name in names), outputs, words)

    draw(plot_overall, "metrics", "overall")
    draw(plot_curves, "curves", "forgettability")
    draw(plot_correlations, "forgettability", "correlations")
    draw(plot_dissimilarity, "dissimilarity", "correlations")
    draw(plot_legacy, "dissimilarity", "legacy", "ratios")
    ratios, stability, sensitivity = (
        pd.read_parquet(folder / f"{field.name}.parquet") for field in fields(ExemplarFiles)[1:]
    )
    plot_exemplars(
        ratios, stability, sensitivity, [folder / f"plot_exemplars.{kind}" for kind in ("png", "pdf")], False
    )


def _write(path: Path, of: Truth, seed: int, sparsities: Sequence[float]) -> None:
    ids = of.image_ids.tolist()
    with write_predictions(path, CLASSES) as table:
        for share in sparsities:
            probabilities = made_up_probabilities(of, PREVALENCES, seed, share)
            table.append(WAY if share else DENSE, seed, share, ids, probabilities)


def _predictions(folder: Path, seed: int) -> Path:
    return folder / f"predictions_{seed}.parquet"


def _validation(folder: Path, seed: int) -> Path:
    return folder / f"validation_{seed}.parquet"


def _measures(folder: Path, seed: int) -> Path:
    return folder / f"measures_{seed}.npz"


JOBS = {job.__name__: job for job in (write, measure, tables, exemplars, figures)}

if __name__ == "__main__":
    JOBS[sys.argv[2]](Path(sys.argv[1]), [int(seed) for seed in sys.argv[3:]])
    print(json.dumps({"peak_mb": peak_mb()}))
