"""Trains all classifiers of one initialisation: modes, shares of labels and seeds; a killed job keeps finished ones."""

import logging
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import nn

from cxrflow.classification.radiographs import LabelledRadiographs, split_radiographs
from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.files import write_arrays, write_table
from cxrflow.igcl.classifiers import (
    EncoderClassifier,
    Labelled,
    LabelledFeatures,
    Teaching,
    logits_of,
    train_classifier,
)
from cxrflow.igcl.initialisation import Source, encoder_of
from cxrflow.igcl.settings import DataSettings, ImageEncoderSettings
from cxrflow.igcl.transfer_runs import FINETUNING, LINEAR, Run, runs_of
from cxrflow.igcl.transfer_settings import TransferSettings
from cxrflow.labelled_subsets import labelled_places
from cxrflow.training import Resume, arithmetic, fingerprint, prepare_torch, this_device

logger = logging.getLogger(__name__)

EVALUATED = ("validate", "test")


@dataclass(frozen=True)
class TransferChoice:
    """All settings that decide what the classifiers of one initialisation become."""

    data: DataSettings
    image: ImageEncoderSettings
    transfer: TransferSettings
    threads: int

    @classmethod
    def of(cls, params: Any, threads: int) -> "TransferChoice":
        """Return the choice that a rule's parameters make; which other initialisations there are is nothing to one."""
        image = ImageEncoderSettings.model_validate(params.image)
        return cls(
            DataSettings.model_validate(params.data), image, TransferSettings.model_validate(params.transfer), threads
        )

    def facts(self) -> dict:
        """Return them as plain types, with the arithmetic that this machine makes of `auto`."""
        parts = {"data": self.data, "image": self.image, "transfer": self.transfer}
        plain = {name: part.model_dump(mode="json") for name, part in parts.items()}
        del plain["transfer"]["initialisations"]
        return {**plain, "threads": self.threads, "arithmetic": arithmetic(self.transfer.precision)}


@dataclass(frozen=True)
class Splits:
    """Radiographs with labels by split, and the rows of `samples` that the train split is made of."""

    radiographs: dict[str, LabelledRadiographs]
    samples: pd.DataFrame

    @classmethod
    def read(cls, cohort: CohortFiles, settings: TransferSettings) -> "Splits":
        """Return all splits of a cohort; one without images is an error."""
        labels = list(settings.labels)
        samples = cohort.samples(labels, settings.uncertain)
        parts = {split: split_radiographs(cohort, samples, split, labels) for split in ("train", *EVALUATED)}
        return cls(parts, samples)

    def of(self, split: str) -> pd.DataFrame:
        """Return the rows of one split, in the order of its radiographs."""
        return self.samples[self.samples["split"] == split]


def transfer(
    cohort: CohortFiles, source: Source, output: Path, resume: Path, choice: TransferChoice, code: list[str]
) -> None:
    """Train all classifiers that start from `source` and write their predictions (logits) as one parquet table.

    Columns: image_id, split (validate, test), mode, fraction or shots, seed, train_patients, one float32 per label.
    What is finished waits in the folder `resume`.
    """
    prepare_torch(choice.threads)
    splits = Splits.read(cohort, choice.transfer)
    parts = resume / fingerprint({**choice.facts(), **source.facts()}, [*cohort.tables(), *source.files(), *code])[:16]
    runs = runs_of(choice.transfer)
    for run, examples in _missing(runs, parts, source, choice, splits):
        logits = _run(run, examples, splits, choice.transfer, parts)
        write_arrays(parts / f"{run.name}.npz", list(logits.items()))
        (parts / f"{run.name}.pt").unlink(missing_ok=True)
        logger.info("%d of %d classifiers: %s", runs.index(run) + 1, len(runs), run.name)
    write_table(output, pd.concat([_predictions(run, parts, splits, choice.transfer) for run in runs]))
    shutil.rmtree(resume, ignore_errors=True)


@dataclass(frozen=True)
class Examples:
    """What a classifier sees, by split: radiographs, or their features; and what makes features of radiographs."""

    of: dict[str, Labelled]
    encoder: nn.Module
    width: int


def _missing(
    runs: list[Run], parts: Path, source: Source, choice: TransferChoice, splits: Splits
) -> Iterator[tuple[Run, Examples]]:
    """Yield the runs that are not finished, with what they see and start from; features are computed once."""
    left = [run for run in runs if not (parts / f"{run.name}.npz").exists()]
    if any(run.mode == LINEAR for run in left):
        examples = _features(source, choice, splits)
        yield from ((run, examples) for run in left if run.mode == LINEAR)
    for run in left:
        if run.mode == FINETUNING:
            torch.manual_seed(run.seed)
            encoder = encoder_of(source, choice.image, choice.data.image_size, choice.transfer.features)
            yield run, Examples(dict(splits.radiographs), encoder, encoder.width)


def _features(source: Source, choice: TransferChoice, splits: Splits) -> Examples:
    """Return features of all splits, brought to mean 0 and standard deviation 1 over the train split.

    So one learning rate suits all initialisations; no label is needed for it. (As published they stay as they are.)
    """
    torch.manual_seed(0)
    encoder = encoder_of(source, choice.image, choice.data.image_size, choice.transfer.features)
    encoder.to(this_device()).eval()
    found = {split: torch.from_numpy(logits_of(encoder, data)) for split, data in splits.radiographs.items()}
    mean, spread = found["train"].mean(dim=0), found["train"].std(dim=0, correction=0).clamp(min=1e-6)
    of: dict[str, Labelled] = {
        split: LabelledFeatures((values - mean) / spread, splits.radiographs[split].labels)
        for split, values in found.items()
    }
    return Examples(of, nn.Identity(), encoder.width)


def _run(
    run: Run, examples: Examples, splits: Splits, settings: TransferSettings, parts: Path
) -> dict[str, NDArray[np.float32]]:
    """Return the logits (N, C) of one classifier by split."""
    about = settings.linear if run.mode == LINEAR else settings.finetuning
    assert about is not None  # its runs come from it
    torch.manual_seed(run.seed)
    model = EncoderClassifier(examples.encoder, examples.width, len(settings.labels))
    places = labelled_places(splits.of("train"), settings.labels, run.level, run.seed)
    how = Teaching(about, settings.loss, "fp32", run.seed)
    if run.mode == FINETUNING:
        how = replace(how, precision=settings.precision, augment=settings.finetuning.augment)  # type: ignore[union-attr]
    resume = Resume(parts / f"{run.name}.pt", run.name)
    train_classifier(model, examples.of["train"], places, examples.of["validate"], how, resume)
    return {split: logits_of(model, examples.of[split]) for split in EVALUATED}


def _predictions(run: Run, parts: Path, splits: Splits, settings: TransferSettings) -> pd.DataFrame:
    train = splits.of("train")
    places = labelled_places(train, settings.labels, run.level, run.seed)
    about = {"mode": run.mode, "fraction": run.level.fraction, "shots": run.level.shots, "seed": run.seed}
    patients = train["patient_id"].iloc[places].nunique()
    with np.load(parts / f"{run.name}.npz", allow_pickle=False) as arrays:
        tables = [
            pd.DataFrame(arrays[split], columns=list(settings.labels)).assign(
                image_id=splits.of(split)["image_id"].to_numpy(), split=split, train_patients=patients, **about
            )
            for split in EVALUATED
        ]
    table = pd.concat(tables, ignore_index=True)
    return table.astype({"fraction": "float64", "shots": "float64"})
