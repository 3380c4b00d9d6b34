"""What a linear probe still reads when patches are taken away, as a canonical table of predictions."""

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError
from scipy.special import logit

from cxrflow.errors import UserError
from cxrflow.files import write_text
from cxrflow.forgetting.predictions import DENSE, read_classes, read_seed
from cxrflow.forgetting.settings import ExemplarSettings
from cxrflow.patchib.exported import Exported
from cxrflow.patchib.settings import (
    EvaluationSettings,
    ModelSettings,
    PatchibSettings,
    default_models,
    forgetting_model,
)
from cxrflow.patchib.share_predictions import share_probabilities, write_share_predictions
from cxrflow.probe import probe_scores

TRAIN, TEST, WIDTH = 60, 30, 5
LABELS = ["Edema", "Fracture", "Hernia"]
SHARES = (1.0, 0.5, 0.1)


def truths(seed: int = 0) -> NDArray[np.float32]:
    """Labels (N, 3) of both splits; nobody has a hernia."""
    labels = (np.random.default_rng(seed).random((TRAIN + TEST, len(LABELS))) < 0.4).astype(np.float32)
    labels[:, 2] = 0
    return labels


def made_up(folder: Path, seeds: tuple[int, ...] = (0, 1)) -> list[Exported]:
    """Embeddings in which a label raises a feature, ever less as patches are taken away."""
    arrays, labels = {}, truths()
    for seed in seeds:
        rng = np.random.default_rng([seed, 1])
        noise = rng.normal(size=(TRAIN + TEST, WIDTH)).astype(np.float32)
        signal = np.pad(labels, ((0, 0), (0, WIDTH - len(LABELS))))
        arrays[f"{seed}/train/image/full"] = (noise + 3 * signal)[:TRAIN]
        arrays[f"{seed}/train/image/own"] = (noise - 3 * signal)[:TRAIN]
        arrays |= {f"{seed}/share/{share:g}": (noise + 3 * share * signal)[TRAIN:] for share in SHARES}
    np.savez(folder / "E.npz", **arrays)
    return [Exported("E", seed, folder / "E.npz") for seed in seeds]


def write_master(path: Path) -> Path:
    lines = [
        {
            "split": "train" if number < TRAIN else "test", "query": "Clear lungs.", "image_path": "x.jpg",
            "labels": labels, "subject_id": f"p{number}", "study_id": f"s{number}", "dicom_id": f"i{number:02d}",
        }
        for number, labels in enumerate(truths().astype(int).tolist())
    ]  # fmt: skip
    write_text(path, "".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_all_patches_are_level_0_and_fewer_are_further_along(tmp_path: Path) -> None:
    found = share_probabilities(made_up(tmp_path)[0], truths()[:TRAIN], "token_drop")
    assert list(found) == [0.0, 0.5, 0.9]
    assert all(values.shape == (TEST, len(LABELS)) for values in found.values())


def test_probabilities_are_the_sigmoid_of_the_scores_of_one_probe(tmp_path: Path) -> None:
    export, truth = made_up(tmp_path)[0], truths()[:TRAIN]
    for kind, embedding in (("token_drop", "full"), ("top_k", "own")):
        found = share_probabilities(export, truth, kind)[0.5][:, :2]  # type: ignore[arg-type]
        scores = probe_scores(export.read(f"train/image/{embedding}"), truth, export.read("share/0.5"))[:, :2]
        np.testing.assert_allclose(logit(found.astype(np.float64)), scores, atol=1e-3)


def test_a_table_per_seed_has_the_labels_that_a_probe_could_learn(tmp_path: Path) -> None:
    exports, outputs = made_up(tmp_path), [tmp_path / f"seed_{seed}.parquet" for seed in (0, 1)]
    write_share_predictions(outputs, exports, write_master(tmp_path / "m"), LABELS, "token_drop", "model_E")
    images = [f"i{number:02d}" for number in range(TRAIN, TRAIN + TEST)]
    for export, output in zip(exports, outputs, strict=True):
        assert read_classes(output) == ("Edema", "Fracture")
        read = read_seed([output], "model_E", images)
        assert (read.seed, read.levels.tolist()) == (export.seed, [0.0, 0.5, 0.9])
        np.testing.assert_array_equal(read_seed([output], DENSE, images).probabilities, read.probabilities[:1])
        whole, least = (read.probabilities[place, :, 0] for place in (0, 2))
        edema = truths()[TRAIN:, 0] > 0
        assert whole[edema].mean() - whole[~edema].mean() > least[edema].mean() - least[~edema].mean() + 0.2


def test_without_a_label_to_learn_the_user_is_told(tmp_path: Path) -> None:
    exports, master = made_up(tmp_path, seeds=(0,)), write_master(tmp_path / "m")
    healthy = [json.loads(line) | {"labels": [0, 0, 0]} for line in master.read_text().splitlines()]
    write_text(master, "".join(json.dumps(line) + "\n" for line in healthy))
    with pytest.raises(UserError, match="both outcomes"):
        write_share_predictions([tmp_path / "seed_0.parquet"], exports, master, LABELS, "token_drop", "model_E")


def test_the_last_model_that_selects_patches_is_analysed_or_the_one_named() -> None:
    assert forgetting_model(PatchibSettings()) == "E"
    assert forgetting_model(PatchibSettings(forgetting_model="D")) == "D"
    assert forgetting_model(PatchibSettings(models={"A": ModelSettings()})) is None
    with pytest.raises(ValidationError, match="models with a mask"):
        PatchibSettings(forgetting_model="A")


def test_exemplars_are_found_at_the_smallest_share_unless_another_is_named() -> None:
    measured = EvaluationSettings(keep_ratios=(1.0, 0.5, 0.2))
    assert PatchibSettings(evaluation=measured).exemplars.level == 0.8
    assert PatchibSettings(evaluation=measured, exemplars=ExemplarSettings(level=0.5)).exemplars.level == 0.5
    with pytest.raises(ValidationError, match="keep_ratios"):
        PatchibSettings(evaluation=measured, exemplars=ExemplarSettings(level=0.9))


def test_all_patches_must_be_among_the_shares_where_a_model_selects_some() -> None:
    half = EvaluationSettings(keep_ratios=(0.5,))
    with pytest.raises(ValidationError, match="all patches"):
        PatchibSettings(evaluation=half)
    assert PatchibSettings(evaluation=half, models={"A": default_models()["A"]}).evaluation == half
