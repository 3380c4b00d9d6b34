"""Metrics say what they measure, on whom, and how surely; every table is written."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.neural.conftest import MadeUp

from cxrflow.neural.evaluation import evaluate_predictions, scored_variants
from cxrflow.neural.exports import Exports
from cxrflow.neural.graphs import build_graphs
from cxrflow.neural.pruning import random_order
from cxrflow.neural.report_quality import ReportFiles
from cxrflow.neural.results import Measured, ResultFiles, write_results
from cxrflow.neural.settings import EvaluationSettings, GraphSettings, PruningSettings

QUICK = EvaluationSettings(resamples=200)


def predictions(folder: Path, seed: int, informative: bool) -> Path:
    rng = np.random.default_rng(seed)
    rows = []
    for image in range(40):
        y = image % 2
        score = 0.5 + 0.4 * (y - 0.5) if informative else rng.random()
        common = {"image_id": f"i{image:02d}", "patient_id": f"p{image // 4}", "input": "image", "seed": seed}
        common |= {"kept_percent": 2.3, "selector": "attention", "text": "reference", "labels": "true"}
        rows.append({**common, "target": "Edema", "y": y, "probability": score})
        rows.append({**common, "target": "Fracture", "y": 0, "probability": score})
    pd.DataFrame(rows).sample(frac=1, random_state=seed).to_parquet(folder / f"{seed}.parquet")
    return folder / f"{seed}.parquet"


def test_a_value_is_the_mean_over_seeds_and_one_outcome_has_none(tmp_path: Path) -> None:
    files = [predictions(tmp_path, 0, True), predictions(tmp_path, 1, False)]
    alone = [evaluate_predictions(scored_variants([file], QUICK), "c", True) for file in files]
    both = evaluate_predictions(scored_variants(files, QUICK), "c", True)
    key = (both["metric"] == "auroc") & (both["target"] == "Edema")
    assert alone[0].loc[key, "value"].item() == 1
    assert both.loc[key, "value"].item() == pytest.approx((1 + alone[1].loc[key, "value"].item()) / 2)
    assert both.loc[key, "low"].item() < both.loc[key, "value"].item() < both.loc[key, "high"].item()
    assert both["n_patients"].tolist() == [10] * 4
    assert both["n_seeds"].tolist() == [2] * 4
    assert both.loc[both["target"] == "Fracture", ["value", "low", "high"]].isna().all(axis=None)


def test_images_whose_truth_is_ignored_take_no_part(tmp_path: Path) -> None:
    whole = pd.read_parquet(predictions(tmp_path, 0, False))
    ignored = (whole["target"] == "Edema") & (whole["image_id"] < "i12")
    whole[~ignored].to_parquet(tmp_path / "partly.parquet")
    whole[whole["image_id"] >= "i12"].to_parquet(tmp_path / "known.parquet")
    partly, known = (
        evaluate_predictions(scored_variants([tmp_path / f"{name}.parquet"], QUICK), "c", True)
        for name in ("partly", "known")
    )
    edema = [table[table["target"] == "Edema"] for table in (partly, known)]
    assert edema[0]["value"].tolist() == edema[1]["value"].tolist()
    assert edema[0]["n_patients"].tolist() == [7, 7]
    assert partly.loc[partly["target"] == "Fracture", "n_patients"].tolist() == [10, 10]


def test_the_order_of_files_and_rows_changes_nothing(tmp_path: Path) -> None:
    files = [predictions(tmp_path, seed, False) for seed in (0, 1)]
    pd.testing.assert_frame_equal(
        evaluate_predictions(scored_variants(files, QUICK), "c", True),
        evaluate_predictions(scored_variants(files[::-1], QUICK), "c", True),
    )


class Named:
    """A rule's input with these names."""

    def __init__(self, **files: str) -> None:
        self.__dict__ |= files


def test_report_files_are_there_as_a_whole_or_not_at_all() -> None:
    files = {"generated_texts": "t", "generated_graphs": "g", "generated_findings": "f"}
    assert ReportFiles.of(Named(**files), "generated") == ReportFiles(Path("t"), Path("g"), Path("f"))
    assert ReportFiles.of(Named(**files), "reference") is None


def write_inputs(made_up: MadeUp, folder: Path) -> Measured:
    """Write what the evaluation reads of the made-up cohort, as the rules before it would."""
    samples, texts = made_up.files.samples([], "zero"), ("reference", "generated")
    ids, test = samples["image_id"].tolist(), (samples["split"] == "test").to_numpy()
    graph = json.loads(made_up.graphs.read_text().splitlines()[0])
    (folder / "graphs.jsonl").write_text("".join(json.dumps({**graph, "study_id": image}) + "\n" for image in ids))
    samples[["image_id", "text"]].to_parquet(folder / "texts.parquet")
    found = pd.DataFrame({"study_id": [*ids, *samples["study_id"]], "finding": "nodule", "status": "present"})
    found.to_parquet(folder / "findings.parquet")
    orders = {
        f"order_{key}": random_order(len(ids), 0) for key in ("random", "attention_reference", "attention_generated")
    }
    keys = {name: samples[name].to_numpy(dtype=str) for name in ("image_id", "patient_id", "study_id", "split")}
    np.savez(folder / "ranking.npz", **keys, **orders)
    pruning = PruningSettings(percentiles=(2.3, 100.0))
    graphs = dict.fromkeys(texts, folder / "graphs.jsonl")
    build_graphs(folder / "ranking.npz", graphs, folder / "graphs.npz", GraphSettings(), pruning)
    np.save(folder / "features.npy", np.zeros((test.sum(), 144, 4), np.float16))
    np.save(folder / "bytes.npy", np.full(test.sum(), 300))
    samples.loc[test, ["image_id", "patient_id", "study_id", "split"]].to_parquet(folder / "images.parquet")
    np.savez(folder / "attention.npz", **dict.fromkeys(texts, np.full((test.sum(), 1, 144), 1 / 144, np.float32)))
    known = samples.loc[test, ["image_id", "patient_id"]].assign(target="Edema", y=np.arange(test.sum()) % 2)
    known.assign(logit=0.0).to_parquet(folder / "validation.parquet")
    variants = [("image", "attention", text, 2.3) for text in texts] + [("image", "all", "none", 100.0)]
    rows = [
        known.assign(**dict(zip(["input", "selector", "text", "kept_percent"], kind, strict=True))) for kind in variants
    ]
    pd.concat(rows).assign(labels="true", seed=0, probability=0.5).to_parquet(folder / "seed_0.parquet")
    reports = ReportFiles(*(folder / name for name in ("texts.parquet", "graphs.jsonl", "findings.parquet")))
    return Measured(
        [folder / "seed_0.parquet"], folder / "graphs.npz", folder / "features.npy", {"jpeg_10": folder / "bytes.npy"},
        folder / "validation.parquet", Exports([folder / "attention.npz"], [folder / "images.parquet"]), "last", texts,
        reports, reports,
    )  # fmt: skip


def test_every_table_is_written_with_the_columns_that_others_read(made_up: MadeUp, tmp_path: Path) -> None:
    stable = {
        "metrics": {"target", "input", "text", "selector", "kept_percent", "labels"},
        "differences": {"target", "input", "text", "selector", "kept_percent", "against"},
        "compression": {"kept_percent", "quantity"},
        "pointing": {"finding", "selector", "text", "chance"},
        "classifier": {"target"},
        "report_quality": {"writer", "n"},
    }
    measured, made = write_inputs(made_up, tmp_path), [tmp_path / "made" / f"{name}.csv" for name in stable]
    write_results(ResultFiles(*made), measured, made_up.files, "c", True, QUICK)
    tables = {file.stem: pd.read_csv(file) for file in made}
    for name, columns in stable.items():
        common = {"cohort", "simulated", "n_patients", "metric", "value", "low", "high"}
        assert columns | common <= set(tables[name].columns), name
        assert len(tables[name])
        assert len(pd.read_parquet(tmp_path / "made" / f"{name}.parquet")) == len(tables[name])
    assert set(tables["pointing"]["text"]) == {"reference", "generated", "none"}
    quality = tables["report_quality"].set_index(["writer", "metric"])["value"]
    assert quality["model", "bleu_4"] == pytest.approx(1)  # the made-up model writes the reference word by word
    assert quality["other_patient", "bleu_4"] < 1
    silent = replace(measured, generated=None, reference=None)
    write_results(ResultFiles(*made), silent, made_up.files, "c", True, QUICK)
    assert pd.read_parquet(tmp_path / "made" / "report_quality.parquet").empty
