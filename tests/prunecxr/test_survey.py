"""The survey's statistics: scipy and hand-computed values are the reference, chance the yardstick."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from PIL import Image
from scipy import stats
from tests.prunecxr.survey_samples import SETTINGS, answers_of, write_form

from cxrflow.cohort.store import ImageStore
from cxrflow.errors import UserError
from cxrflow.forgetting.predictions import Truth
from cxrflow.forgetting.settings import ForgettingSettings
from cxrflow.metrics import holm
from cxrflow.prunecxr.survey import (
    Answers,
    SurveyFiles,
    answers_to,
    cliffs_delta,
    comparison_table,
    permutation_p,
    resampled_images,
    survey_table,
    write_survey,
)
from cxrflow.prunecxr.survey_figure import draw_question, p_text, plot_survey, survey_caption
from cxrflow.prunecxr.survey_forms import write_forms
from cxrflow.prunecxr.survey_reading import read_survey
from cxrflow.prunecxr.survey_settings import SurveySettings

FEW = ForgettingSettings(resamples=200, permutations=500)


def asked(values: list[float], is_pie: list[int], form: list[str]) -> Answers:
    return Answers(np.array(values, dtype=float), np.array(is_pie, dtype=bool), np.array(form))


def test_the_published_tests_are_those_of_scipy() -> None:
    answers = answers_of(0, shift=0.6)
    table = comparison_table(answers, FEW).set_index(["question", "metric"])
    pie, other = (answers.loc[answers["is_pie"] == arm, "quality"] for arm in (True, False))
    for name, expected in [
        ("kruskal_wallis", stats.kruskal(pie, other)),
        ("mann_whitney", stats.mannwhitneyu(pie, other)),
        ("welch_t", stats.ttest_ind(pie, other, equal_var=False)),
    ]:
        found = table.loc[("quality", name)]
        assert found["value"] == pytest.approx(expected.statistic)
        assert found["p"] == pytest.approx(expected.pvalue)
    within = table.xs("permutation_within_forms", level="metric")
    np.testing.assert_allclose(within["p_holm"], holm(within["p"]))


def test_cliffs_delta_counts_pairs() -> None:
    # Pairs of {1, 3} with {1, 2}: 1=1, 1<2, 3>1, 3>2: (2 - 1) / 4.
    one, two = np.array([1.0, 3.0]), np.array([1.0, 2.0])
    assert cliffs_delta(one, two)[0] == 0.25
    assert cliffs_delta(two, one)[0] == -0.25
    twice = np.array([[0, 2]]), np.array([[1, 1]])
    assert cliffs_delta(one, two, twice)[0] == 1


@given(st.lists(st.integers(1, 5), min_size=1, max_size=8), st.lists(st.integers(1, 5), min_size=1, max_size=8))
def test_cliffs_delta_is_the_mann_whitney_statistic_rescaled(one: list[int], two: list[int]) -> None:
    expected = 2 * stats.mannwhitneyu(one, two).statistic / (len(one) * len(two)) - 1
    assert cliffs_delta(np.array(one, float), np.array(two, float))[0] == pytest.approx(expected)


def test_the_difference_within_forms_leaves_out_strict_readers() -> None:
    # Within each form exemplars are rated 1 higher; pooled, they are rated lower, since form b saw more of them.
    values = [5, 4, 4, 4, 2, 2, 2, 1]
    given = asked(values, [1, 0, 0, 0, 1, 1, 1, 0], list("aaaabbbb"))
    assert given.arm("pie").mean() < given.arm("other").mean()
    assert permutation_p(given, 200, 0)[0] == pytest.approx(1)


def test_all_permutations_of_a_small_form_give_the_exact_p() -> None:
    # 2 of 5 are exemplars, rated highest: 1 of the 10 ways to choose them has as large a sum above the mean of 3, and
    # one as large a sum below it.
    difference, p = permutation_p(asked([5, 4, 3, 2, 1], [1, 1, 0, 0, 0], list("aaaaa")), 20_000, 0)
    assert difference == pytest.approx(2.5)
    assert p == pytest.approx(0.2, abs=0.01)


def test_without_a_difference_small_p_values_are_as_rare_as_they_say() -> None:
    p_values = [
        permutation_p(answers_to(answers_of(seed, forms=2, strictness=1.5), "quality"), 199, seed)[1]
        for seed in range(200)
    ]
    for level in (0.05, 0.2, 0.5):
        # Ratings tie, so the test may be conservative, never the opposite (4 standard errors allowed).
        assert np.mean(np.array(p_values) <= level) < level + 4 * np.sqrt(level * (1 - level) / 200)
    assert np.mean(np.array(p_values) <= 0.5) > 0.35
    continuous = [
        permutation_p(
            asked(np.random.default_rng(s).normal(size=20).tolist(), [1, 0, 0, 1] * 5, ["a", "a", "b", "b"] * 5), 199, s
        )[1]
        for s in range(400)
    ]
    assert stats.kstest(continuous, "uniform").pvalue > 0.01


def test_a_large_difference_is_found_and_an_unanswered_question_has_no_p() -> None:
    answers = answers_of(0, shift=2).assign(difficulty=np.nan)
    table = comparison_table(answers, FEW).set_index(["question", "metric"])
    assert table.loc[("quality", "permutation_within_forms"), "p"] == pytest.approx(1 / 501)
    assert table.loc[("quality", "cliffs_delta"), "low"] > 0
    assert table.loc["difficulty"][["value", "low", "high", "p", "p_holm"]].isna().all(axis=None)
    assert table.loc[("difficulty", "welch_t"), "n_pie"] == 0
    # Holm counts two questions then, not three.
    assert table.loc[("quality", "permutation_within_forms"), "p_holm"] <= 2 / 501 + 1e-12


def test_a_form_about_exemplars_alone_tells_no_difference() -> None:
    assert np.isnan(permutation_p(asked([1, 2, 3, 4], [1, 1, 0, 0], list("aabb")), 100, 0)).all()


def test_resamples_keep_the_number_of_exemplars_of_each_form() -> None:
    given = answers_to(answers_of(0), "agree")
    weights = resampled_images(given, 50, 0)
    for form in np.unique(given.form):
        for arm in (True, False):
            assert (weights[:, (given.form == form) & (given.is_pie == arm)].sum(axis=1) == 10).all()


def test_means_and_missing_answers_are_told_by_arm() -> None:
    answers = answers_of(1)
    answers.loc[answers["is_pie"] & (answers["form"] == "form_0"), "agree"] = np.nan
    table = survey_table(answers, SETTINGS, FEW).set_index(["question", "arm"])
    row = table.loc[("agree", "pie")]
    kept = answers.loc[answers["is_pie"], "agree"].dropna()
    assert (row["n"], row["n_missing"]) == (20, 10)
    assert row["value"] == pytest.approx(kept.mean())
    assert row["sd"] == pytest.approx(kept.std())
    assert row["low"] < row["value"] < row["high"]


def test_the_order_of_answers_changes_nothing() -> None:
    answers = answers_of(2, shift=0.5)
    mixed = answers.sample(frac=1, random_state=0)
    pd.testing.assert_frame_equal(comparison_table(answers, FEW), comparison_table(mixed, FEW))
    pd.testing.assert_frame_equal(survey_table(answers, SETTINGS, FEW), survey_table(mixed, SETTINGS, FEW))


def test_tables_and_figure_of_written_forms(tmp_path: Path) -> None:
    rows = [(f"{place:02d}.png", {"agree": "yes" if place % 3 else "No", "quality": "4"}) for place in range(20)]
    rows[0] = ("00.png", {"agree": "never"})
    forms = [write_form(tmp_path / f"{name}.csv", rows) for name in "ab"]
    files = SurveyFiles(tmp_path / "survey.csv", tmp_path / "survey_tests.csv", tmp_path / "refused.csv")
    settings = SETTINGS.model_copy(update={"forms": [str(form) for form in forms]})
    write_survey(files, settings, FEW, "c", False)
    survey, tests = (pd.read_parquet(tmp_path / f"{name}.parquet") for name in ("survey", "survey_tests"))
    assert set(survey["n_forms"]) == {2}
    assert pd.read_csv(files.refused)["reason"].str.contains("never").sum() == 2
    plot_survey(survey, tests, [tmp_path / "figure.png", tmp_path / "figure.pdf"])
    assert (tmp_path / "figure.png").stat().st_size > 10_000
    caption = survey_caption(survey)
    assert "2 forms" in caption
    assert f"{2 + 2 + 40} answers missing" in caption  # two refused, their quality, and difficulty throughout


def test_a_panel_shows_both_means() -> None:
    answers = answers_of(0, shift=1)
    means, tests = survey_table(answers, SETTINGS, FEW), comparison_table(answers, FEW)
    axis = Figure().add_subplot()
    draw_question(axis, means[means["question"] == "quality"], tests[tests["question"] == "quality"])
    points = [line.get_ydata()[0] for line in axis.get_lines() if line.get_marker() == "o"]
    assert points == pytest.approx(means.loc[means["question"] == "quality", "value"].tolist())
    assert "Cliff's delta +" in axis.get_title()


def test_p_values_are_never_zero() -> None:
    assert [p_text(p) for p in (0.0004, 0.0312, np.nan)] == ["p < 0.001", "p = 0.031", "p not defined"]


def forms_of(readers: int) -> SurveySettings:
    return SETTINGS.model_copy(update={"readers": readers, "images_per_arm": 5})


def test_blank_forms_are_blind_balanced_and_can_be_read_back(tmp_path: Path) -> None:
    ids = np.array([f"x{number:03d}.png" for number in range(40)])
    pie = pd.DataFrame({"image_id": ids, "is_pie": np.arange(40) < 12})
    truth = Truth(ids, ids, ("Edema", "Mass"), np.eye(2, dtype=np.float32)[np.arange(40) % 2])
    images = np.arange(40, dtype=np.uint8)[:, None, None] * np.ones((1, 8, 8), np.uint8)
    store = ImageStore(images, pd.DataFrame({"image_id": ids, "row": range(40)}))
    key = write_forms(tmp_path, pie, truth, store, forms_of(2))
    forms = [tmp_path / "form_1.csv", tmp_path / "form_2.csv"]
    answers, refused = read_survey(forms, tmp_path / "key.csv", SETTINGS)
    assert answers.groupby(["form", "is_pie"]).size().tolist() == [5, 5, 5, 5]
    assert answers[["agree", "quality", "difficulty"]].isna().all(axis=None)
    assert refused.rows == []
    assert key["image_id"].is_unique
    assert (key["is_pie"] == (key["image_id"] < "x012.png")).all()
    assert not any(image in form.read_text() for form in forms for image in key["image_id"])
    first_half = key[key["form"] == "form_1"].sort_values("filename")["is_pie"][:5]
    assert 0 < first_half.sum() < 5  # the order of the names tells nothing
    assert len(list((tmp_path / "images").iterdir())) == 20
    for filename, image in zip(key["filename"], key["image_id"], strict=True):
        assert f"x{np.asarray(Image.open(tmp_path / 'images' / filename)).max():03d}.png" == image
    with pytest.raises(UserError, match="there are 12"):
        write_forms(tmp_path, pie, truth, store, forms_of(3))
