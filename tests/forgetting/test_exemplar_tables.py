"""The exemplars' results tables and their figure."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from cxrflow.forgetting.ensembles import gather
from cxrflow.forgetting.exemplar_figures import (
    draw_classes,
    draw_legacy_counts,
    draw_sensitivity,
    exemplar_caption,
    plot_exemplars,
)
from cxrflow.forgetting.exemplar_tables import ExemplarFiles, ExemplarTables, exemplar_tables, write_exemplars
from cxrflow.forgetting.predictions import SeedPredictions, Truth
from cxrflow.forgetting.settings import ExemplarSettings, ForgettingSettings

CLASSES = ("No Finding", "Edema", "Hernia", "Mass", "Nodule")
IMAGES = 80
SETTINGS = ExemplarSettings(share=0.1), ForgettingSettings(resamples=100)


def truth_of(prefix: str = "") -> Truth:
    labels = np.random.default_rng(0).integers(2, size=(IMAGES, len(CLASSES))).astype(np.float32)
    labels[:, 0] = labels[:, 1:].sum(axis=1) == 0
    patients = [f"{prefix}{number // 2:08d}" for number in range(IMAGES)]
    return Truth(np.array([f"{number:03d}.png" for number in range(IMAGES)]), np.array(patients), CLASSES, labels)


def loaders(seeds: int = 3, flat: int = 0) -> list:
    """Return loaders of seeds that forget with compression; the compressed models are constant on `flat` images."""

    def load(seed: int) -> SeedPredictions:
        generator = np.random.default_rng(seed + 1)
        signal = np.random.default_rng(0).normal(size=(IMAGES, len(CLASSES)))
        logits = np.stack([signal + level * generator.normal(size=signal.shape) for level in (0, 0.5, 0.9)])
        logits[2, :flat] = 0
        return SeedPredictions(seed, np.array([0, 0.5, 0.9]), (1 / (1 + np.exp(-logits))).astype(np.float32))

    return [lambda seed=seed: load(seed) for seed in range(seeds)]


def tables(seeds: int = 3, flat: int = 0, prefix: str = "") -> ExemplarTables:
    return exemplar_tables(gather(loaders(seeds, flat), 0.9), truth_of(prefix), *SETTINGS, "c", True)


def test_every_image_has_a_row_and_exemplars_agree_less_than_the_others() -> None:
    pie = tables().pie
    assert pie["image_id"].tolist() == truth_of().image_ids.tolist()
    assert pie["is_pie"].sum() == 8
    assert pie.loc[pie["is_pie"], "agreement"].max() <= pie.loc[~pie["is_pie"], "agreement"].min()
    assert (pie["agreement_0.9"] == pie["agreement"]).all()
    assert {"cohort", "simulated", "n_patients", "n_seeds", "patient_id", "n_diseases", "agreement_0.5"} <= set(pie)
    assert (pie["n_patients"] == 40).all()


def test_constant_predictions_are_flagged_exemplars_without_agreement() -> None:
    pie = tables(flat=3).pie
    assert pie["constant"].tolist() == [True] * 3 + [False] * (IMAGES - 3)
    assert pie.loc[pie["constant"], "is_pie"].all()
    assert pie.loc[pie["constant"], "agreement"].isna().all()


def test_ratios_can_be_recomputed_from_the_table_of_images() -> None:
    found, truth = tables(), truth_of()
    pie = found.pie.set_index("image_id")
    ratios = found.ratios[found.ratios["formula"] == "fixed"].set_index(["group", "level"])
    assert set(ratios.index) == {("class", name) for name in CLASSES} | {
        ("diseases", n) for n in ("0", "1", "2", "3", "4+")
    }
    hernia = pd.Series(truth.labels[:, 2], index=truth.image_ids).groupby(pie["is_pie"])
    assert ratios.loc[("class", "Hernia"), "ratio"] == pytest.approx(hernia.mean()[True] / hernia.mean()[False])
    assert ratios.loc[("class", "Hernia"), "n_pie"] == hernia.sum()[True]
    shares = (pie["n_diseases"] == 2).groupby(pie["is_pie"]).mean()
    assert ratios.loc[("diseases", "2"), "value"] == pytest.approx(shares[True] / shares[False])


def test_disease_counts_come_by_both_formulas_and_bars_contain_what_they_resample() -> None:
    ratios = tables().ratios
    diseases = ratios[ratios["group"] == "diseases"]
    assert diseases.groupby("formula").size().to_dict() == {"fixed": 5, "legacy": 5}
    legacy = diseases[diseases["formula"] == "legacy"]
    assert legacy["n_pie"].sum() == 8
    assert legacy["n_other"].sum() == IMAGES - 8
    known = ratios.dropna(subset=["low", "high"])
    assert (known["low"] <= known["high"]).all()
    assert len(known) > 5


def test_patient_ids_that_are_no_numbers_leave_the_released_formula_empty() -> None:
    ratios = tables(prefix="p").ratios
    legacy = ratios[ratios["formula"] == "legacy"]
    assert legacy[["value", "low", "high", "n_pie"]].isna().all(axis=None)
    fixed = ratios["formula"] == "fixed"
    kept = tables().ratios
    pd.testing.assert_frame_equal(ratios[fixed], kept[fixed], check_dtype=False)


def test_one_seed_gives_tables_and_a_figure_without_stability(tmp_path: Path) -> None:
    found = tables(seeds=1)
    assert found.stability.set_index("metric").loc[["jaccard", "agreement_correlation"], "value"].isna().all()
    assert found.stability["n_halves"].eq(0).all()
    plot_exemplars(found.ratios, found.stability, found.sensitivity, [tmp_path / "a.png"], legacy=True)
    assert (tmp_path / "a.png").stat().st_size > 10_000
    assert "over patients;" in exemplar_caption(found.ratios, found.stability, legacy=False)


def test_everything_is_written_as_twins_and_the_same_again(tmp_path: Path) -> None:
    names = ("pie", "ratios", "stability", "sensitivity")
    written = []
    for run in ("first", "second"):
        files = ExemplarFiles(*(tmp_path / run / f"{name}.csv" for name in names))
        write_exemplars(files, loaders(), truth_of(), *SETTINGS, "c", False)
        written.append({path.name: path.read_bytes() for path in (tmp_path / run).iterdir()})
    assert written[0] == written[1]
    assert set(written[0]) == {f"{name}.{kind}" for name in names for kind in ("csv", "parquet")}


def test_classes_are_drawn_by_ratio_with_those_that_have_none_at_the_bottom() -> None:
    found = tables()
    rows = found.ratios[found.ratios["group"] == "class"].copy()
    rows.loc[rows["level"] == "Hernia", ["value", "low", "high"]] = np.nan
    axis = Figure().add_subplot()
    draw_classes(axis, rows)
    names = [label.get_text() for label in axis.get_yticklabels()]
    assert names[0] == "Hernia"
    assert names[1:] == rows.dropna(subset=["value"]).sort_values(["value", "level"])["level"].tolist()
    assert axis.get_xscale() == "log"


def test_a_class_that_no_exemplar_has_is_a_triangle_at_the_end_of_the_axis() -> None:
    rows = pd.DataFrame({"level": ["Hernia"], "value": [0.0], "low": [0.0], "high": [3.0], "n_pie": [0]})
    axis = Figure().add_subplot()
    draw_classes(axis, rows)
    shapes = {line.get_marker(): line for line in axis.get_lines()}
    assert "o" not in shapes
    low, high = axis.get_xlim()
    assert low <= shapes["<"].get_xdata()[0] < 1 < high


def test_both_formulas_are_drawn_side_by_side_and_a_missing_one_is_named() -> None:
    for prefix, said in (("", "patient id added"), ("p", "none can be computed")):
        axis = Figure().add_subplot()
        draw_legacy_counts(axis, tables(prefix=prefix).ratios)
        labels = [text.get_text() for text in axis.get_legend().get_texts()]
        assert labels[0] == "classes only"
        assert said in labels[1]


def test_the_frame_is_around_the_chosen_share_and_level() -> None:
    axis = Figure().add_subplot()
    draw_sensitivity(axis, tables().sensitivity)
    frame = axis.get_lines()[0]
    # Shares 10, 5, 2.5, 1 % from the top; levels 0.5, 0.9 from the left.
    assert (min(frame.get_xdata()), max(frame.get_xdata())) == (1, 2)
    assert (min(frame.get_ydata()), max(frame.get_ydata())) == (0, 1)


def test_the_caption_says_who_was_counted() -> None:
    found = tables()
    said = exemplar_caption(found.ratios, found.stability, legacy=True)
    for part in (
        "40 patients",
        "the 8 of 80 images (10 %)",
        "90 % taken away",
        "3 seeds",
        "seeds and patients",
        "released",
    ):
        assert part in said
