"""The figures show what they say they show, of whom, and how surely."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from cxrflow.cohort.store import ImageStore
from cxrflow.neural.figures import (
    TEXTS,
    auc_caption,
    draw_control,
    draw_target,
    labelled,
    plot_auc,
    series,
    well_measured,
)
from cxrflow.neural.gallery import Looks, gallery_note, plot_gallery, pruned_image, row_panels, typical_examples
from cxrflow.neural.settings import PruningSettings


def test_pruned_image_shows_kept_patches_only() -> None:
    image = np.full((24, 24), 9, np.uint8)
    shown = pruned_image(image, np.array([0, 143], np.uint8))
    assert (shown[:2, :2] == 9).all()
    assert (shown[-2:, -2:] == 9).all()
    assert shown.sum() == 9 * 8


SHARES = [2.3, 25.0]


def test_a_target_with_few_positive_images_has_no_panel_and_the_caption_names_it() -> None:
    table = pd.DataFrame({"target": ["Edema", "Pneumonia"], "labels": "true", "n_positive": [10, 9]})
    drawn, note = well_measured(table)
    assert drawn["target"].tolist() == ["Edema"]
    assert note == " Left out, with under 10 positive images: Pneumonia (9)."
    whole, note = well_measured(table.assign(n_positive=3))
    assert (len(whole), note) == (2, "")


def made_up_metrics(texts: tuple[str, ...] = ("reference", "generated")) -> pd.DataFrame:
    """Return a results table in which every variant has an AUROC of its own."""
    variants = [("image", selector, "none", share) for selector in ("random", "centre", "norm") for share in SHARES]
    variants += [("image", "all", "none", 100.0), ("image", "jpeg_10", "none", 100.0)]
    for text in texts:
        variants += [(source, "attention", text, share) for source in ("image", "fused") for share in SHARES]
        variants += [("fused", "all", text, 100.0), ("text", "none", text, 0.0)]
    permuted = [("fused", "attention", text, 2.3) for text in texts] + [("text", "none", text, 0.0) for text in texts]
    table = pd.DataFrame([*variants, *permuted], columns=["input", "selector", "text", "kept_percent"])
    table["labels"] = ["true"] * len(variants) + ["permuted"] * len(permuted)
    table["value"] = np.r_[np.linspace(0.6, 0.95, len(variants)), np.linspace(0.45, 0.55, len(permuted))]
    table = table.assign(low=table["value"] - 0.05, high=table["value"] + 0.05, metric="auroc", target="Edema")
    return table.assign(cohort="c", simulated=True, n_patients=10, n_seeds=1, n_positive=4)


def test_the_lines_of_a_target_hold_their_own_variants_only() -> None:
    table = made_up_metrics()
    true = table[table["labels"] == "true"]
    axis = Figure().add_subplot()
    draw_target(axis, true, "Edema")
    drawn = [list(line.get_ydata()) for line in axis.get_lines() if len(line.get_xdata()) > 2]
    value = true.set_index(["input", "selector", "text", "kept_percent"])["value"]
    whole = value["image", "all", "none", 100.0]
    for selector, text in [
        ("random", "none"),
        ("norm", "none"),
        ("attention", "reference"),
        ("attention", "generated"),
    ]:
        assert [*(value["image", selector, text, share] for share in SHARES), whole] in drawn
    fused = [value["fused", "attention", "generated", share] for share in SHARES]
    alone, all_patches = value["text", "none", "generated", 0.0], value["fused", "all", "generated", 100.0]
    assert [alone, *fused, all_patches] in drawn
    assert len(drawn) == 3 + 2 + 2
    assert not any(value["image", "jpeg_10", "none", 100.0] in line for line in drawn)
    assert series(true, "image", "attention", "masked").empty


def test_the_control_shows_permuted_labels_of_every_text_around_chance() -> None:
    table = made_up_metrics(tuple(TEXTS))
    permuted = table[table["labels"] == "permuted"]
    axis = Figure().add_subplot()
    draw_control(axis, permuted)
    points = [float(line.get_ydata()[0]) for line in axis.get_lines() if len(line.get_xdata()) == 1]
    assert sorted(points) == pytest.approx(sorted(permuted["value"]))
    low, high = axis.get_ylim()
    assert low < permuted["low"].min() < permuted["high"].max() < high


def test_shares_too_near_for_a_label_have_none() -> None:
    assert labelled([2.3, 6.6, 10.0, 25.0, 100.0, 6.6]) == [2.3, 6.6, 10.0, 25.0, 100.0]
    assert labelled([9.0, 10.0, 90.0, 100.0]) == [10.0, 100.0]
    assert labelled([]) == []


def test_the_figure_says_patients_seeds_interval_and_upper_bounds(tmp_path: Path) -> None:
    table = made_up_metrics()
    caption = auc_caption(table)
    assert "10 patients" in caption
    assert "1 seed;" in caption
    assert "95 %" in caption
    assert "upper bound" in caption
    assert "upper bound" not in auc_caption(made_up_metrics(("generated",)))
    plot_auc(table, [tmp_path / "figure.png", tmp_path / "figure.pdf"])
    with_control = Image.open(tmp_path / "figure.png")
    assert with_control.width > 300
    assert (tmp_path / "figure.pdf").stat().st_size > 1000
    plot_auc(table[table["labels"] == "true"], [tmp_path / "figure.png"])
    assert Image.open(tmp_path / "figure.png").height < with_control.height


def looks(written: dict[str, str]) -> Looks:
    """Return four radiographs with a box on patch 0: more and more of the generated attention lies in it."""
    box = {"label": "Edema", "x": 0.0, "y": 0.0, "w": 10.0, "h": 10.0}
    samples = pd.DataFrame({"image_id": list("abcd"), "patient_id": list("abcd"), "height": 120, "width": 120})
    samples["boxes"] = [[box], [box], [box], None]
    generated = np.full((4, 144), 0.001, np.float32)
    generated[:, 0] = [0.2, 0.8, 0.4, 1.0]
    return Looks(samples, {"generated": generated, "reference": generated[::-1]}, written)


def test_the_example_has_the_median_attention_in_its_boxes() -> None:
    seen = looks({})
    assert typical_examples(seen.samples, seen.scores["generated"]) == {"Edema": 2}
    assert typical_examples(seen.samples.iloc[3:], seen.scores["generated"][3:]) == {}


def test_a_row_shows_attention_of_both_texts_on_one_scale_and_what_the_last_keeps() -> None:
    image = np.full((24, 24), 9, np.uint8)
    reference, generated = np.full(144, 0.1, np.float32), np.full(144, 0.2, np.float32)
    generated[143] = 0.4
    pruning = PruningSettings(mode="topk")
    panels = row_panels(image, {"reference": reference, "generated": generated}, (2.3, 100.0), pruning)
    assert [panel.heat is None for panel in panels] == [True, False, False, True, True]
    assert panels[1].heat.max() == pytest.approx(0.25)
    assert panels[2].heat.max() == 1
    assert (panels[3].image[-2:, -2:] == 9).all()
    assert panels[3].image.sum() == 3 * 4 * 9  # round(2.3 % of 144) patches of 2 x 2 pixels
    assert (panels[4].image == 9).all()


def drawn_texts(monkeypatch: pytest.MonkeyPatch, seen: Looks, simulated: bool, folder: Path) -> str:
    """Return all words of the gallery's figure."""
    said: list[str] = []
    monkeypatch.setattr(
        "cxrflow.neural.gallery.save_figure",
        lambda figure, _: said.extend(
            text.get_text() for text in figure.findobj(lambda part: hasattr(part, "get_text"))
        ),
    )
    index = pd.DataFrame({"image_id": list("abcd"), "row": range(4), "height": 24, "width": 24})
    store = ImageStore(np.zeros((4, 24, 24), np.uint8), index)
    plot_gallery(seen, store, (6.6, 25.0), PruningSettings(), simulated, folder / "gallery.png")
    return " ".join(said)


def test_what_the_model_wrote_is_shown_of_simulated_radiographs_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen = looks(dict.fromkeys("abcd", "a made up report"))
    simulated, real = (drawn_texts(monkeypatch, seen, simulated, tmp_path) for simulated in (True, False))
    assert "a made up report" in simulated
    assert "Simulated radiographs" in simulated
    assert "a made up report" not in real
    assert "6.6 % kept (10 patches)" in real


def test_the_gallery_says_whose_report_chose_the_patches() -> None:
    assert "those of the model's report" in gallery_note(["reference", "generated"])
    assert "those of the radiologist's report" in gallery_note(["reference"])
