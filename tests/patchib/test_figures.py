"""The figures show what they say they show, of whom, and how surely."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from PIL import Image

from cxrflow.cohort.store import ImageStore
from cxrflow.panels import enlarged, typical_rows
from cxrflow.patchib import classification_measures, embedding, retrieval_measures
from cxrflow.patchib.exported import Exported
from cxrflow.patchib.figures import (
    EMBEDDINGS,
    PANELS,
    ablation_caption,
    draw_costs,
    draw_history,
    draw_measure,
    draw_rates,
    plot_ablation,
    plot_training,
    read_histories,
    training_caption,
)
from cxrflow.patchib.gallery import Looks, gallery_note, heat_models, plot_gallery, prominence, row_panels
from cxrflow.patchib.removal_figure import draw_curve, draw_robustness, plot_removal, removal_caption
from cxrflow.patchib.share_figure import costs_of, draw_cost, draw_recall, plot_shares, shares_caption
from cxrflow.patchib.similarity_figure import Matrix, chosen_pairs, hits, pair_name, plot_similarity
from cxrflow.plotting import colours_by_place, seeds_note

COMMON = {"cohort": "c", "simulated": True, "n_patients": 12}
DISTRIBUTION = pd.DataFrame({"split": "validate", "label": ["images", "patients"], "count": [11, 9]})


def write_history(file: Path, heads: int, all_weights: int, loss: float) -> Path:
    phases = ["heads"] * heads + ["all"] * all_weights
    epochs = [float(epoch) for count in (heads, all_weights) for epoch in range(count)]
    rates = [1e-3] * heads + [1e-4] * all_weights
    table = pd.DataFrame({"epoch": epochs, "phase": phases, "loss": loss, "recall": 0.5, "auc": 0.6})
    table.assign(learning_rate=rates).to_csv(file, index=False)
    return file


@pytest.fixture
def histories(tmp_path: Path) -> pd.DataFrame:
    """Return those of a frozen model, and of one with two seeds of which the second stopped early."""
    trained = [("0", 0), ("E", 0), ("E", 1)]
    shapes = [(0, 3, 4.0), (2, 3, 3.0), (2, 2, 1.0)]
    files = [write_history(tmp_path / f"{place}.csv", *shape) for place, shape in enumerate(shapes)]
    return read_histories(files, trained)


def test_epochs_are_counted_from_where_all_weights_learn(histories: pd.DataFrame) -> None:
    frozen, whole = (histories[histories["model"] == model] for model in "0E")
    assert frozen["at"].tolist() == [1, 2, 3]
    assert whole.loc[whole["seed"] == 0, "at"].tolist() == [-1, 0, 1, 2, 3]


def test_the_thick_line_is_the_mean_of_the_seeds_that_trained_that_long(histories: pd.DataFrame) -> None:
    axis = Figure().add_subplot()
    draw_history(axis, histories, "loss")
    thick = {line.get_label(): list(line.get_ydata()) for line in axis.get_lines() if line.get_linewidth() > 1}
    assert thick == {"model 0": [4, 4, 4], "model E": [2, 2, 2, 2, 3]}
    thin = [list(line.get_ydata()) for line in axis.get_lines() if line.get_linewidth() < 1]
    assert thin == [[3] * 5, [1] * 4], "a model with one seed needs no second line"


def test_learning_rates_stand_in_the_middle_of_their_epoch(histories: pd.DataFrame) -> None:
    axis = Figure().add_subplot()
    draw_rates(axis, histories)
    drawn = {tuple(line.get_xdata()): set(line.get_ydata()) for line in axis.get_lines()}
    assert drawn == {(0.5, 1.5, 2.5): {1e-4}, (-1.5, -0.5): {1e-3}}


def test_the_training_figure_says_on_whom_and_of_how_many_seeds(histories: pd.DataFrame, tmp_path: Path) -> None:
    said = training_caption(histories, DISTRIBUTION)
    assert "11 radiographs of 9 patients" in said
    assert "mean of 1 to 2 seeds" in said
    assert "frozen" in said
    assert "frozen" not in training_caption(histories[histories["model"] == "0"], DISTRIBUTION)
    plot_training(histories, DISTRIBUTION, True, [tmp_path / "training.png", tmp_path / "training.pdf"])
    assert Image.open(tmp_path / "training.png").width > 1000
    assert (tmp_path / "training.pdf").stat().st_size > 1000


def test_the_number_of_seeds_is_told_as_it_is() -> None:
    assert [seeds_note(counts) for counts in ([1], [3, 3], [1, 2])] == [
        "mean of 1 seed",
        "mean of 3 seeds",
        "mean of 1 to 2 seeds",
    ]


def made_up_metrics() -> pd.DataFrame:
    """Return a table in which every model, embedding and panel has a value of its own."""
    has = [("A", "own", 1), *(("C", name, 2) for name in EMBEDDINGS)]
    rows = [
        {**COMMON, "n_seeds": seeds, "model": model, "embedding": name, "task": task, "label": label, "metric": metric}
        for model, name, seeds in has
        for task, label, metric in [*PANELS, ("retrieval i2t", "", "recall@1")]
    ]
    table = pd.DataFrame(rows)
    value = np.linspace(0.3, 0.9, len(table))
    return table.assign(value=value, low=value - 0.1, high=value + 0.1, chance=0.05)


def made_up_differences(metrics: pd.DataFrame) -> pd.DataFrame:
    """Return one in which the whole radiograph's embedding of C differs and nothing else does."""
    others = metrics[metrics["model"] != "A"].assign(against="A")
    return others.assign(p_holm=np.where(others["embedding"] == "full", 0.01, 0.2))


# model, share, radiographs per second, multiplications, bytes; a model's own share is first
EFFICIENCY = pd.DataFrame(
    [
        ("0", 1, 80, 50, 9e6),
        ("A", 1, 90, 50, 9e6),
        ("C", 0.5, 70, 55, 9e6),
        ("E", 0.5, 150, 30, 5e6),
        ("E", 1, 90, 50, 9e6),
        ("E", 0.5, 149, 30, 5e6),
        ("E", 0.25, 200, 20, 4e6),
    ],
    columns=["model", "keep_ratio", "images_per_s", "macs", "peak_bytes"],
).assign(batch=4, device="cpu")


def test_the_figures_know_the_names_that_tables_use() -> None:
    assert list(EMBEDDINGS) == list(embedding.EMBEDDINGS)
    tasks = [retrieval_measures.I2T, retrieval_measures.T2I]
    tasks += [classification_measures.ZERO_SHOT, classification_measures.PROBE]
    assert [task for task, _, _ in PANELS] == tasks


def test_each_embedding_has_a_mark_of_its_own_and_stars_stand_at_what_differs() -> None:
    rows = made_up_metrics()
    rows = rows[rows["metric"] == "recall@10"].drop_duplicates(["model", "embedding"])
    axis = Figure().add_subplot()
    draw_measure(axis, rows, made_up_differences(rows), ["A", "C"])
    points = {
        (line.get_marker(), float(x)): round(float(y), 3)
        for line in axis.get_lines()
        if line.get_marker() in "osD"
        for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)
    }
    value = rows.set_index(["model", "embedding"])["value"]
    assert points == {
        ("o", value["A", "own"]): 0,
        ("o", value["C", "own"]): 0.8,
        ("s", value["C", "full"]): 1,
        ("D", value["C", "kept tokens"]): 1.2,
    }
    assert [text.xy for text in axis.texts] == [(pytest.approx(value["C", "full"] + 0.1), 1)]


def test_costs_are_multiples_of_the_model_compared_with() -> None:
    axis = Figure().add_subplot()
    draw_costs(axis, EFFICIENCY, ["A", "C", "E"], "A")
    assert [bar.get_width() for bar in axis.patches] == pytest.approx([1, 1.1, 0.6])


def test_the_ablation_says_of_whom_it_is_and_what_stars_mean(tmp_path: Path) -> None:
    metrics = made_up_metrics()
    said = ablation_caption(metrics, "A")
    for part in ("12 patients", "mean of 1 to 2 seeds", "95 %", "chance", "Holm"):
        assert part in said
    whole, alone = tmp_path / "whole.png", tmp_path / "alone.png"
    plot_ablation(metrics, made_up_differences(metrics), EFFICIENCY, [whole])
    one = metrics[metrics["model"] == "A"]
    plot_ablation(one, made_up_differences(one), EFFICIENCY, [alone])
    assert Image.open(alone).height < Image.open(whole).height


def made_up_shares() -> pd.DataFrame:
    keys = [(model, share, metric) for model in "CE" for share in (1, 0.5) for metric in ("recall@1", "recall@10")]
    table = pd.DataFrame(keys, columns=["model", "keep_ratio", "metric"]).assign(**COMMON, n_seeds=1)
    value = np.linspace(0.1, 0.4, len(table))
    return table.assign(value=value, low=value - 0.05, high=value + 0.05)


def test_costs_are_drawn_of_models_that_were_measured_at_several_shares() -> None:
    dropping, whole = costs_of(EFFICIENCY)
    assert dropping[["model", "keep_ratio", "images_per_s"]].to_numpy().tolist() == [
        ["E", 0.25, 200],
        ["E", 0.5, 150],
        ["E", 1, 90],
    ]
    assert whole["model"].tolist() == ["A"], "not the frozen model, which comes first"
    only = costs_of(EFFICIENCY[EFFICIENCY["model"] == "C"])
    assert only.dropping.empty
    assert only.whole.empty


def test_the_panels_of_shares_have_their_own_models_and_units() -> None:
    colours = colours_by_place(["0", "A", "C", "E"])
    memory, recall = Figure().add_subplot(), Figure().add_subplot()
    draw_cost(memory, costs_of(EFFICIENCY), "peak_bytes", colours)
    drawn = {line.get_label(): list(line.get_ydata()) for line in memory.get_lines()}
    assert drawn == {"model E": pytest.approx([4, 5, 9]), "model A, all patches": pytest.approx([9, 9])}
    shares = made_up_shares()
    draw_recall(recall, shares[shares["metric"] == "recall@1"], colours)
    assert [to_hex(line.get_color()) for line in recall.get_lines()] == [colours["C"], colours["E"]]


def test_the_shares_say_on_whom_and_on_what_machine(tmp_path: Path) -> None:
    shares, metrics = made_up_shares(), made_up_metrics()
    everything, fewer = tmp_path / "all.png", tmp_path / "fewer.png"
    whole = EFFICIENCY[EFFICIENCY["model"] != "E"]
    metrics = pd.concat([metrics, metrics[metrics["model"] == "C"].assign(model="E")])
    plot_shares(shares, metrics, EFFICIENCY, [everything])
    plot_shares(shares, metrics, whole, [fewer])
    assert Image.open(fewer).width < Image.open(everything).width
    said = shares_caption(shares, costs_of(EFFICIENCY))
    for part in ("12 patients", "95 %", "1 seed", "on cpu, 4 per pass"):
        assert part in said
    assert "cpu" not in shares_caption(shares, costs_of(whole))
    assert shares_caption(shares.head(0), costs_of(whole)) == "No model selects patches."


def made_up_curves() -> pd.DataFrame:
    points = [(0.0, 0.8), (0.5, 0.6), (1.0, 0.1), (np.nan, 0.525)]
    rows = [(model, curve, *point) for model in "AC" for curve in ("deletion", "insertion") for point in points]
    table = pd.DataFrame(rows, columns=["model", "curve", "share", "value"]).assign(**COMMON, n_seeds=1)
    return table.assign(low=table["value"] - 0.1, high=table["value"] + 0.1)


def made_up_robustness() -> pd.DataFrame:
    table = pd.DataFrame({"model": "C", "change": ["grey values", "grey values and place"], "value": [0.8, 0.4]})
    return table.assign(**COMMON, n_seeds=1, low=table["value"] - 0.1, high=table["value"] + 0.1, chance=[0.3, 0.2])


def test_the_area_under_a_curve_is_told_beside_it_and_is_no_point_of_it() -> None:
    curves, axis = made_up_curves(), Figure().add_subplot()
    draw_curve(axis, curves[curves["curve"] == "deletion"], colours_by_place("AC"))
    assert [list(line.get_ydata()) for line in axis.get_lines()] == [[0.8, 0.6, 0.1]] * 2
    assert axis.get_legend_handles_labels()[1] == [f"{model}   0.525 [0.425, 0.625]" for model in "AC"]


def test_bars_of_masks_have_their_chance() -> None:
    axis = Figure().add_subplot()
    draw_robustness(axis, made_up_robustness(), colours_by_place("AC"))
    assert {bar.get_height() for bar in axis.patches if bar.get_height()} == {0.8, 0.4}
    chance = [float(segment[0, 1]) for lines in axis.collections for segment in lines.get_segments()]
    assert {0.3, 0.2} <= set(chance)


def test_without_masks_the_curves_stand_alone(tmp_path: Path) -> None:
    curves, robustness = made_up_curves(), made_up_robustness()
    plot_removal(curves, robustness, 8, [tmp_path / "masks.png"])
    plot_removal(curves, robustness.head(0), 8, [tmp_path / "none.png"])
    assert Image.open(tmp_path / "none.png").width > 1000
    said = removal_caption(curves, 8, True)
    for part in ("12 patients", "at most 8 radiographs", "95 %", "random masks"):
        assert part in said
    assert "random masks" not in removal_caption(curves, 8, False)


def made_up_looks(masked: bool = True) -> Looks:
    """Return four radiographs with a box on the first of 2 x 2 patches, more and more of the heat of B inside it."""
    cover = [np.array([1.0, 0, 0, 0])] * 4
    box = [{"label": "Edema", "x": 0.0, "y": 0.0, "w": 60.0, "h": 60.0}]
    boxed = pd.DataFrame({"position": range(4), "patient_id": list("abcd"), "finding": "Edema", "cover": cover})
    boxed = boxed.assign(image_id=list("abcd"), height=120, width=120, boxes=[box] * 4)
    heat = np.tile(np.array([0, 0.1, 0.2, 0.3], np.float32), (4, 1))
    heat[:, 0] = [0.1, 0.4, 0.3, 0.2]
    masks = np.tile(np.array([1, 0, 0, 1], np.float32), (4, 1))
    return Looks(boxed, {"A": heat[::-1], "B": heat}, {"C": masks} if masked else {})


def test_the_example_is_the_median_of_its_finding_and_the_commonest_come_first() -> None:
    covers = pd.DataFrame({"finding": ["Edema"] * 3 + ["Nodule"], "position": range(4)}, index=[7, 5, 3, 1])
    assert typical_rows(covers, [0.1, 0.9, 0.4, 0.2]).index.tolist() == [3, 1]
    looks = made_up_looks()
    chosen = typical_rows(looks.boxed, list(prominence(looks.heat["B"], looks.boxed)))
    assert chosen["image_id"].tolist() == ["c"]


def test_prominence_is_the_standardised_heat_in_the_boxes() -> None:
    boxed = made_up_looks().boxed.head(2)
    heat = np.array([[3, 1, 1, 1], [5, 5, 5, 5]], np.float32)
    assert prominence(heat, boxed) == pytest.approx([1.5 / np.sqrt(0.75), 0])
    assert prominence(heat[:0], boxed.head(0)).size == 0


@given(arrays(np.float64, (1, 4), elements=st.integers(-5, 5)), st.integers(1, 9), st.integers(-9, 9))
def test_prominence_knows_no_unit(heat: np.ndarray, scale: int, shift: int) -> None:
    boxed = made_up_looks().boxed.head(1)
    assert prominence(heat * scale + shift, boxed) == pytest.approx(prominence(heat, boxed), abs=1e-9)


def test_a_patch_is_a_square_of_its_own_value() -> None:
    assert enlarged(np.array([1, 2, 3, 4]), 4).tolist() == [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]


def test_a_row_shows_the_radiograph_heat_and_what_masks_keep() -> None:
    looks, image = made_up_looks(), np.full((4, 4), 200, np.uint8)
    panels = row_panels(image, looks, 1)
    assert [panel.title for panel in panels] == ["", "heat of A", "heat of B", "C: 50 % kept, boxes 100 %"]
    assert panels[2].heat is not None
    assert panels[2].heat[0, 0] == 1
    assert panels[2].heat.min() == 0
    assert panels[3].image[[0, 0, 3, 3], [0, 3, 0, 3]].tolist() == [200, 50, 50, 200]


def write_export(folder: Path, model: str, masks: bool, **read: np.ndarray) -> Exported:
    names = {"0/share/1": np.zeros(1)} if masks else {}
    np.savez(folder / f"{model}.npz", **names, **{f"0/{name}": values for name, values in read.items()})
    return Exported(model, 0, folder / f"{model}.npz")


def test_heat_is_of_models_that_see_all_patches(tmp_path: Path) -> None:
    zero, a, b, c = (write_export(tmp_path, model, model == "C", x=np.zeros(1)) for model in "0ABC")
    assert heat_models([zero, a, b, c]) == ["A", "B"]
    assert heat_models([zero, c]) == ["0"]
    assert heat_models([c]) == ["C"]


def store_of(images: list[str]) -> ImageStore:
    index = pd.DataFrame({"image_id": images, "row": range(len(images)), "height": 8, "width": 8})
    return ImageStore(np.zeros((len(images), 8, 8), np.uint8), index)


def test_the_gallery_says_whose_heat_chose_its_examples(tmp_path: Path) -> None:
    looks = made_up_looks()
    said = gallery_note(looks)
    for part in ("4 boxed findings of 4 patients", "heat of model B by the median", "Dimmed", "no intervals"):
        assert part in said
    assert "Dimmed" not in gallery_note(made_up_looks(masked=False))
    plot_gallery(looks, store_of(list("abcd")), True, [tmp_path / "gallery.png", tmp_path / "gallery.pdf"])
    assert Image.open(tmp_path / "gallery.png").width > 1000


def test_a_cohort_without_boxes_has_an_empty_gallery(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    said = drawn_texts(monkeypatch, "gallery")
    looks = made_up_looks()
    none = {model: values[:0] for model, values in looks.heat.items()}
    plot_gallery(Looks(looks.boxed.head(0), none, {}), store_of(["a"]), True, [tmp_path / "gallery.png"])
    assert "No radiograph of this cohort has boxes. Simulated radiographs." in said


def drawn_texts(monkeypatch: pytest.MonkeyPatch, module: str) -> list[str]:
    """Return a list that will hold all words of the figures that a module makes."""
    said: list[str] = []
    monkeypatch.setattr(
        f"cxrflow.patchib.{module}.save_figure",
        lambda figure, *_: said.extend(
            text.get_text() for text in figure.findobj(lambda part: hasattr(part, "get_text"))
        ),
    )
    return said


LABELS = ["Cardiomegaly", "Edema", "No Finding"]


def made_up_test_split() -> pd.DataFrame:
    """Return seven radiographs: a and b alone with edema, c the same report as d, g has no label that is known."""
    edema, both, normal = [0, 1, 0], [1, 1, 0], [0, 0, 1]
    labels = [edema, edema, edema, both, normal, normal, [np.nan, np.nan, np.nan]]
    table = pd.DataFrame({"dicom_id": list("abcdefg"), "subject_id": ["p1", "p2", "p3", "p4", "p2", "p5", "p6"]})
    table["query"] = ["report of a", "report of b", "shared", "shared", "report of e", "report of f", "report of g"]
    return table.assign(labels=[np.array(row, np.float32) for row in labels])


def test_pairs_are_of_different_labels_patients_and_reports() -> None:
    own = np.array([0.1, 0.3, 0.2, 0.9, 0.5, 0.4, 1.0])
    test = made_up_test_split()
    # Of the three with edema alone, c has the median similarity; its report is d's, the only one with cardiomegaly.
    assert chosen_pairs(test, own, LABELS) == {2: "Edema", 4: "No Finding"}
    assert chosen_pairs(test, np.array([0.2, 0.3, 0.1, 0.9, 0.5, 0.4, 1.0]), LABELS) == {
        0: "Edema",
        4: "No Finding",
        3: "Cardiomegaly",
    }


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=12))
def test_no_patient_and_no_report_comes_twice(rows: list[tuple[int, int, int]]) -> None:
    table = pd.DataFrame(rows, columns=["label", "subject_id", "query"])
    table["labels"] = list(np.eye(4, dtype=np.float32)[table["label"]])
    chosen = chosen_pairs(table, np.arange(len(table)), ["a", "b", "c", "d"])
    taken = table.iloc[list(chosen)]
    assert taken["subject_id"].is_unique
    assert taken["query"].is_unique
    assert taken["label"].map(dict(enumerate("abcd"))).tolist() == list(chosen.values())


def test_a_pair_is_named_by_its_findings() -> None:
    labels = ["Edema", "Enlarged Cardiomediastinum", "Fracture", "Pneumonia"]
    assert pair_name(np.array([1, 0, 0, np.nan]), labels, "Edema") == "Edema"
    assert pair_name(np.array([1, 1, 0, 0]), labels, "Edema") == "Edema\nEnlarged\nCardiomediastinum"
    assert pair_name(np.ones(4), labels, "Fracture") == "Fracture\nEdema + 2"


def test_a_hit_is_the_highest_value_alone() -> None:
    assert hits(np.eye(3)) == (3, 3)
    assert hits(np.ones((3, 3))) == (0, 0)
    assert hits(np.array([[0.9, 0.1], [0.95, 0.5]])) == (1, 1)


@given(st.integers(0, 2**32 - 1), st.permutations(range(5)))
def test_the_order_of_the_pairs_changes_no_hit(seed: int, order: list[int]) -> None:
    cosines = np.random.default_rng(seed).normal(size=(5, 5))
    assert hits(cosines[np.ix_(order, order)]) == hits(cosines)


def test_the_matrix_is_of_the_model_that_others_are_compared_with(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(
        "cxrflow.patchib.similarity_figure.read_master", lambda _: made_up_test_split().assign(split="test")
    )
    monkeypatch.setattr("cxrflow.patchib.similarity_figure.label_order", lambda _: LABELS)
    texts = np.eye(7, dtype=np.float32)
    images = texts * np.linspace(0.1, 0.7, 7, dtype=np.float32)
    read = {"test/image/own": images, "test/text": texts}
    exports = [write_export(tmp_path, model, False, **read) for model in "0A"]
    matrix = Matrix.read(exports, tmp_path, tmp_path)
    assert (matrix.model, matrix.labels) == ("A", ["Edema", "No Finding", "Cardiomegaly"])
    assert matrix.rows["dicom_id"].tolist() == ["b", "f", "d"]
    assert matrix.cosines == pytest.approx(np.diag([0.2, 0.6, 0.4]))


@pytest.mark.parametrize("simulated", [True, False])
def test_reports_are_drawn_of_simulated_radiographs_only(
    simulated: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    said = drawn_texts(monkeypatch, "similarity_figure")
    rows = made_up_test_split().iloc[[0, 4]]
    matrix = Matrix("A", rows, ["Edema", "No Finding"], ["Edema", "No Finding"], np.eye(2, dtype=np.float32))
    plot_similarity(matrix, store_of(["a", "e"]), simulated, [tmp_path / "similarity.png"])
    assert ("report of a" in said) == simulated
    words = " ".join(said)
    assert ("Simulated radiographs." in words) == simulated
    assert "2 of 2 radiographs" in words
    assert not any(name in said for name in ("a", "e", "p1", "p2"))


def test_a_cohort_without_labels_has_an_empty_matrix(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    said = drawn_texts(monkeypatch, "similarity_figure")
    test = made_up_test_split().tail(1)
    assert chosen_pairs(test, np.ones(1), LABELS) == {}
    matrix = Matrix("A", test.head(0), [], [], np.zeros((0, 0), np.float32))
    plot_similarity(matrix, store_of(["a"]), False, [tmp_path / "similarity.png"])
    assert "No radiograph of the test split has a label." in said
