"""prunecxr as users run it: from published predictions, with readers' answers, and side by side with neural."""

import shutil
import zipfile

import numpy as np
import pandas as pd
import pytest
import yaml
from tests.prunecxr.survey_samples import write_form

pytestmark = pytest.mark.workflow

PLACE = "results/tiny-nih"
TABLES = ("metrics", "curves", "forgettability", "dissimilarity", "pie", "pie_ratios")


@pytest.fixture(scope="module")
def published(finished):
    """Export the small run's predictions as the published files are, and run the analysis from those files alone."""
    seeds = (0, 1)
    exported = [f"{PLACE}/prunecxr/published/seed_{seed}" for seed in seeds]
    done = finished.tiny(*exported)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    folder = finished.root / "data/published"
    for place in exported:
        shutil.copytree(finished.root / place, folder, dirs_exist_ok=True)
    raw = f"{PLACE}/raw/nih"
    config = {
        "run": {"cohorts": ["nih"], "systems": ["prunecxr"]},
        "cohorts": {"nih": {"format": "nih", "root": raw, "long_tail": f"{raw}/labels"}},
        "prunecxr": {
            "sweep": {"methods": ["l1"], "chunks": 1},
            "published": {"nih": {"folder": "data/published", "network": "resnet_small"}},
            "surveys": {"nih": {"forms": ["data/form.csv"], "key": "data/key.csv"}},
        },
    }
    (finished.root / "published.yaml").write_text(yaml.safe_dump(config))
    answers = [
        (f"{number}.png", {"agree": "yes", "quality": str(1 + number % 5), "difficulty": "2"}) for number in range(8)
    ]
    write_form(finished.root / "data/form.csv", answers)
    key = pd.DataFrame({"filename": [name for name, _ in answers], "is_pie": [number < 4 for number in range(8)]})
    key.to_csv(finished.root / "data/key.csv", index=False)
    wanted = [f"results/nih/prunecxr/{file}" for file in ("exemplars.html", "overall.png", "metrics.csv", "survey.png")]
    done = finished.tiny(*wanted, layers=("published.yaml",))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    return finished.root / "results/nih/prunecxr"


@pytest.mark.parametrize("table", TABLES)
def test_published_predictions_give_the_tables_that_the_sweep_gave(published, finished, table):
    own = pd.read_parquet(finished.root / PLACE / f"prunecxr/{table}.parquet")
    read = pd.read_parquet(published / f"{table}.parquet")
    if "method" in own:
        own = own[own["method"] == "l1"].reset_index(drop=True)
    if "metric" in own:  # thresholds found on validation are not among the published files
        own, read = (one[one["metric"] != "f1_validated"].reset_index(drop=True) for one in (own, read))
    same = [one.drop(columns=["cohort", "simulated"]) for one in (own, read)]
    pd.testing.assert_frame_equal(*same, check_dtype=False)


def test_nothing_is_trained_where_predictions_are_published(published, finished):
    assert not (published / "training").exists()
    assert (published / "exemplars.html").stat().st_size > 0


def test_readers_answers_end_in_tests_and_a_figure(published):
    tests = pd.read_csv(published / "survey_tests.csv")
    assert {"kruskal_wallis", "permutation_within_forms"} <= set(tests["metric"])
    assert (published / "survey.png").stat().st_size > 0


def test_both_systems_stand_side_by_side(finished):
    table = pd.read_csv(finished.root / "results/forgetting/side_by_side.csv")
    assert set(table["system"]) == {"neural", "patchib", "prunecxr"}
    assert set(table["compression"]) == {"patches taken away", "weights set to zero"}
    for _, rows in table.groupby("system"):
        assert sorted(rows["rank"]) == list(range(1, len(rows) + 1))
        drops = rows.sort_values("rank")["first_drop"].fillna(np.inf)
        assert drops.is_monotonic_increasing


def test_patches_are_an_axis_of_compression_like_weights(finished):
    curves = pd.read_csv(finished.root / "results/tiny/neural/forgetting/curves.csv")
    assert sorted(curves["sparsity"].unique()) == [0, 0.75, 0.934, 0.977]
    ours = pd.read_csv(finished.root / "results/tiny/neural/metrics.csv").query("input == 'image' and labels == 'true'")
    whole, pruned = ours["selector"] == "all", (ours["selector"] == "attention") & (ours["text"] == "generated")
    ours = ours[whole | pruned].assign(sparsity=(1 - ours["kept_percent"] / 100).round(6))
    theirs = pd.read_csv(finished.root / "results/tiny/neural/forgetting/metrics.csv").rename(
        columns={"class": "target"}
    )
    both = ours.merge(theirs, on=["target", "sparsity", "metric"], suffixes=("", "_forgetting"))
    assert len(both) == 2 * len(curves["sparsity"].unique()) * ours["target"].nunique()
    # of two seeds the median is the mean
    np.testing.assert_allclose(both["value"], both["value_forgetting"], atol=1e-6)
    pie = pd.read_csv(finished.root / "results/tiny/neural/forgetting/pie.csv")
    assert pie["image_id"].is_unique
    assert pie["agreement"].dropna().between(-1, 1).all()


def test_the_page_of_exemplars_is_linked_from_the_report(finished):
    done = finished.tiny("--report", "report.zip")
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(finished.root / "report.zip") as archive:
        pages = [name for name in archive.namelist() if name.endswith("exemplars.html")]
    assert len(pages) == 3
