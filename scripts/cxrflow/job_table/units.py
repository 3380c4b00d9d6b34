"""What the work of a job is counted in, computed from the configuration and the size of its cohort."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePath

from cxrflow.config import Config, own_initialisations, systems_of
from cxrflow.forgetting.settings import ForgettingSettings
from cxrflow.igcl.transfer_settings import ClassifierSettings
from cxrflow.job_table.plan import PlannedJob
from cxrflow.job_table.sizes import NOTHING, SIZES, CohortSize
from cxrflow.neural.settings import codec_names
from cxrflow.patchib.settings import forgetting_model

PATCHES = 144
"""Of a radiograph of 384 px (neural)."""


@dataclass(frozen=True)
class Work:
    """A job, and what decides how much it has to do."""

    job: PlannedJob
    config: Config

    @property
    def size(self) -> CohortSize:
        """Return the size of the job's cohort; zero where it is of none."""
        cohort = self.job.wildcards.get("cohort")
        return NOTHING if cohort is None else SIZES[cohort]


@dataclass(frozen=True)
class Compressed:
    """Predictions along a compression axis."""

    seeds: int
    levels: int
    settings: ForgettingSettings


def _compressed(work: Work) -> Compressed:
    """Return what an analysis of forgetting has to read: by weights set to zero, or by patches taken away."""
    room, config = PurePath(work.job.wildcards["room"]).parts[0], work.config
    if room == "prunecxr":
        prunecxr = config.prunecxr
        return Compressed(len(prunecxr.training.seeds), _sparsities(work), prunecxr.forgetting)
    if room == "patchib":
        patchib = config.patchib
        return Compressed(_probed_seeds(work), len(patchib.evaluation.keep_ratios), patchib.forgetting)
    neural = config.neural
    return Compressed(len(neural.gnn.seeds), len(neural.pruning.percentiles), neural.forgetting)


def _sparsities(work: Work) -> int:
    """Return the networks that a sweep measures; the whole one is the same for all methods."""
    sweep = work.config.prunecxr.sweep
    return len(sweep.methods) * (len(sweep.sparsities) - 1) + 1


def _swept(work: Work) -> float:
    return work.size.test * _sparsities(work) / work.config.prunecxr.sweep.chunks


def _probed_seeds(work: Work) -> int:
    """Return the seeds of the model of patchib whose patches are taken away."""
    model = forgetting_model(work.config.patchib)
    return len(work.config.patchib.models[model].seeds) if model else 0


def _patchib_epochs(work: Work) -> float:
    training = work.config.patchib.training
    model = work.config.patchib.models[work.job.wildcards["model"]]
    return work.size.train * (training.epochs_heads + (0 if model.frozen else training.epochs))


def _patchib_runs(work: Work) -> float:
    return sum(len(model.seeds) for model in work.config.patchib.models.values())


def _embedded(work: Work) -> float:
    model = work.config.patchib.models[work.job.wildcards["model"]]
    return len(model.seeds) * (work.size.train + work.size.validate + work.size.test)


def _fitted(work: Work, about: ClassifierSettings | None) -> float:
    """Return radiographs that classifiers learn from, all epochs, shares of the labels and seeds; shots are few."""
    if about is None:
        return 0
    return work.size.train * about.epochs * sum(about.fractions) * len(about.seeds)


def _validated(work: Work) -> float:
    """Return radiographs that fine-tuned classifiers are chosen by, all epochs."""
    about = work.config.igcl.transfer.finetuning
    return work.size.validate * about.epochs * _levels(about) * len(about.seeds) if about else 0


def _levels(about: ClassifierSettings) -> int:
    return len(about.fractions) + len(about.shots)


def _transferred(work: Work) -> float:
    """Return the classifiers of an igcl run: modes, levels and seeds."""
    modes = [mode for mode in (work.config.igcl.transfer.linear, work.config.igcl.transfer.finetuning) if mode]
    runs = sum(_levels(mode) * len(mode.seeds) for mode in modes)
    return runs * len(work.config.igcl.transfer.initialisations)


def _linear_steps(work: Work) -> float:
    linear = work.config.igcl.transfer.linear
    return _fitted(work, linear) / linear.batch_size if linear else 0


def _bag_slices(work: Work) -> float:
    """Return slices that aggregators learn from: each fold trains on all folds but one."""
    how, tasks = work.config.clear.downstream.aggregation, work.config.clear.downstream.tasks
    runs = len(tasks) * len(how.aggregators) * (how.folds - 1) * sum(how.fractions)
    return runs * how.epochs * (work.size.train + work.size.validate)


def _clear_runs(work: Work) -> int:
    """Return the features of clear: encoders and seeds."""
    clear = work.config.clear
    trained = len(clear.pretraining.seeds)
    return sum(
        len(about.seeds or ()) or (trained if about.source == "pretrained" else 1)
        for about in clear.downstream.encoders.values()
    )


def _measured_bags(work: Work) -> float:
    how = work.config.clear.downstream.aggregation
    return work.size.bags * _clear_runs(work) * len(how.aggregators) * len(how.fractions)


def _checkpoints(work: Work) -> float:
    pretraining = work.config.clear.pretraining
    return 1 + math.ceil(pretraining.epochs / (pretraining.checkpoint_every or pretraining.epochs))


def _embedded_encoders(config: Config, system: str, cohort: str) -> int:
    """Return the encoders that a system trains on a cohort, and that run over the images of a leaderboard."""
    trained = len(config.prunecxr.training.seeds)
    return {
        "neural": 1,
        "prunecxr": 0 if cohort in config.prunecxr.published else min(config.summary.seeds, trained),
        "igcl": len(own_initialisations(config, cohort)),
    }.get(system, 0)


def _run_encoders(work: Work) -> float:
    """Return the images that the encoders of one system see for a leaderboard."""
    named = work.job.wildcards
    return work.size.images * _embedded_encoders(work.config, named["system"], named["source"])


def _probed(work: Work) -> float:
    """Return the training images of all features that a leaderboard compares."""
    config, cohort = work.config, work.job.wildcards["cohort"]
    sources = [cohort, *config.summary.encoders_from.get(cohort, [])]
    trained = [(system, source) for source in sources for system in systems_of(config, source)]
    features = sum(_embedded_encoders(config, *one) for one in trained)
    more = {
        "neural": len(config.neural.pruning.percentiles) - 1,
        "patchib": _patchib_runs(work),
        "clear": _clear_runs(work),
    }
    return work.size.train * (features + sum(more.get(system, 0) for system in systems_of(config, cohort)))


def _forgotten(work: Work) -> float:
    about = _compressed(work)
    return about.seeds * about.levels * about.settings.resamples


def _asset_patches(work: Work) -> float:
    return work.size.images * math.ceil(float(work.job.wildcards["percent"]) / 100 * PATCHES)


UNITS: dict[str, Callable[[Work], float]] = {
    "jobs": lambda work: 1,
    "images": lambda work: work.size.images,
    "reports": lambda work: work.size.reports,
    "pixels": lambda work: work.size.images * int(work.job.wildcards["size"]) ** 2,
    "radiographs x epochs (vlm)": lambda work: work.size.train * work.config.neural.vlm.epochs,
    "batches of texts": lambda work: math.ceil(work.size.images / work.config.neural.texts.batch_size),
    "images x texts": lambda work: work.size.images * len(work.config.neural.texts.settings),
    "images x codecs": lambda work: work.size.images * len(codec_names(work.config.neural.codecs)),
    "images x shares of patches": lambda work: work.size.images * len(work.config.neural.pruning.percentiles),
    "graphs x epochs x shares": lambda work: (
        work.size.train * work.config.neural.gnn.epochs * len(work.config.neural.pruning.percentiles)
    ),
    "kept patches": _asset_patches,
    "test images x resamples": lambda work: work.size.test * work.config.neural.evaluation.resamples,
    "radiographs x epochs (classifier)": lambda work: work.size.train * work.config.prunecxr.training.epochs,
    "test images x sparsities": _swept,
    "sparsities": _sparsities,
    "test images x levels": lambda work: work.size.test * _compressed(work).levels,
    "seeds x levels x resamples": _forgotten,
    "test images x seeds": lambda work: work.size.test * _compressed(work).seeds,
    "pairs x epochs (patchib)": _patchib_epochs,
    "pairs x seeds": _embedded,
    "trained models": _patchib_runs,
    "seeds of one model": _probed_seeds,
    "pairs x epochs (igcl)": lambda work: work.size.train * work.config.igcl.pretraining.epochs,
    "fine-tuned radiographs": lambda work: _fitted(work, work.config.igcl.transfer.finetuning),
    "validated radiographs": _validated,
    "steps of linear classifiers": _linear_steps,
    "classifiers x test images": lambda work: _transferred(work) * work.size.test,
    "slices x epochs": lambda work: work.size.train * work.config.clear.pretraining.epochs,
    "checkpoints": _checkpoints,
    "slices of bags x epochs": _bag_slices,
    "bags x aggregators": _measured_bags,
    "images x encoders": _run_encoders,
    "training images x encoders": _probed,
}
"""What a rate may be for."""
