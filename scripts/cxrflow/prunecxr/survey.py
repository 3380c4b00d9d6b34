"""Do radiologists see exemplars differently? Tests, effect sizes and intervals of the survey (published as figure 6).

The published analysis pools all forms; beside its tests stands one that permutes exemplars and other images within each
form, so that a strict reader does not count as a difference.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from cxrflow.cohort.quarantine import COLUMNS as REFUSED
from cxrflow.files import write_table, write_twins
from cxrflow.forgetting.settings import ForgettingSettings
from cxrflow.metrics import Estimate, Floats, holm, interval, weighted_mean
from cxrflow.prunecxr.survey_reading import read_survey
from cxrflow.prunecxr.survey_settings import QUESTIONS, RATINGS, SurveySettings

ARMS = {"pie": True, "other": False}
"""Exemplars and the other images, and what `is_pie` says of them."""
DIGITS = 12


class Answers(NamedTuple):
    """The given answers to one question."""

    values: Floats
    """(n,)"""
    is_pie: NDArray[np.bool_]
    """(n,)"""
    form: NDArray[np.str_]
    """(n,)"""

    def arm(self, name: str) -> Floats:
        """Return the answers about exemplars (`pie`) or about the `other` images."""
        return self.values[self.is_pie == ARMS[name]]


class Tested(NamedTuple):
    """A statistic or an effect with its p-value and interval, as far as it has them."""

    metric: str
    estimate: Estimate
    p: float


class SurveyFiles(NamedTuple):
    """The tables: means, tests, and what was refused."""

    survey: Path
    tests: Path
    refused: Path


def write_survey(
    outputs: SurveyFiles, settings: SurveySettings, forgetting: ForgettingSettings, cohort: str, simulated: bool
) -> None:
    """Read all forms and write the tables of cohort `cohort`."""
    key = Path(settings.key) if settings.key else None
    answers, refused = read_survey([Path(form) for form in settings.forms], key, settings)
    about: dict[str, Any] = {"cohort": cohort, "simulated": simulated, "n_forms": answers["form"].nunique()}
    write_twins(outputs.survey, survey_table(answers, settings, forgetting).assign(**about))
    write_twins(outputs.tests, comparison_table(answers, forgetting).assign(**about))
    write_table(outputs.refused, pd.DataFrame(refused.rows, columns=REFUSED).sort_values(REFUSED, ignore_index=True))


def survey_table(answers: pd.DataFrame, settings: SurveySettings, forgetting: ForgettingSettings) -> pd.DataFrame:
    """Return one row per question and arm: mean with bootstrap interval, sd, n answers and how many are missing."""
    rows = []
    for question, wording in settings.wording.items():
        given = answers_to(answers, question)
        weights = resampled_images(given, forgetting.resamples, forgetting.seed)
        for arm, is_pie in ARMS.items():
            side = given.is_pie == is_pie
            values = given.values[side]
            mean = interval(float(weighted_mean(values)[0]), weighted_mean(values, weights[:, side]))
            spread = float(values.std(ddof=1)) if len(values) > 1 else np.nan
            asked = int((answers["is_pie"] == is_pie).sum())
            at = {"question": question, "wording": wording, "arm": arm, "metric": "mean", **mean._asdict()}
            rows.append(at | {"sd": spread, "n": len(values), "n_missing": asked - len(values)})
    return pd.DataFrame(rows).round(dict.fromkeys(("value", "low", "high", "sd"), DIGITS))


def comparison_table(answers: pd.DataFrame, forgetting: ForgettingSettings) -> pd.DataFrame:
    """Return one row per question and test or effect; `p_holm` is adjusted for the three questions of each test."""
    rows = []
    for question in QUESTIONS:
        given = answers_to(answers, question)
        sizes = {f"n_{arm}": len(given.arm(arm)) for arm in ARMS}
        for tested in _tests(given, question, forgetting):
            at = {"question": question, "metric": tested.metric, **tested.estimate._asdict(), "p": tested.p}
            rows.append(at | sizes)
    table = pd.DataFrame(rows)
    table["p_holm"] = table.groupby("metric")["p"].transform(holm)
    return table.round(dict.fromkeys(("value", "low", "high", "p", "p_holm"), DIGITS))


def answers_to(answers: pd.DataFrame, question: str) -> Answers:
    """Return the given answers to a question, sorted by form, arm and file name."""
    given = answers.dropna(subset=[question]).sort_values(["form", "is_pie", "filename"])
    return Answers(given[question].to_numpy(float), given["is_pie"].to_numpy(bool), given["form"].to_numpy(str))


def permutation_p(given: Answers, permutations: int, seed: int) -> tuple[float, float]:
    """Return the mean difference between exemplars and other images of the same form, and its two-sided p-value.

    Answers are centred in their form, and which of them are about exemplars is permuted within it. The answers as given
    count as one more permutation. NaN where no form has answers about both.
    """
    generator = np.random.default_rng(seed)
    observed, drawn, count = 0.0, np.zeros(permutations), 0.0
    for form in np.unique(given.form):
        values, is_pie = given.values[given.form == form], given.is_pie[given.form == form]
        pies = int(is_pie.sum())
        if pies in (0, len(values)):
            continue
        centred = values - values.mean()
        order = generator.permuted(np.tile(centred, (permutations, 1)), axis=1)
        observed, drawn = observed + centred[is_pie].sum(), drawn + order[:, :pies].sum(axis=1)
        count += pies * (len(values) - pies) / len(values)
    if not count:
        return np.nan, np.nan
    at_least = np.count_nonzero(np.abs(drawn) >= abs(observed) - 1e-9)  # equal sums differ in their last digit
    return observed / count, (at_least + 1) / (permutations + 1)


def cliffs_delta(first: Floats, second: Floats, weights: tuple[NDArray, NDArray] | None = None) -> Floats:
    """Return P(first > second) - P(first < second), one per row of the two arrays of weights (R, n) (one without)."""
    one, two = weights if weights is not None else (np.ones((1, len(first))), np.ones((1, len(second))))
    signs = np.sign(first[:, None] - second[None])
    pairs = one.sum(axis=1) * two.sum(axis=1)
    return np.divide(((one @ signs) * two).sum(axis=1), pairs, out=np.full(len(one), np.nan), where=pairs > 0)


def resampled_images(given: Answers, resamples: int, seed: int) -> Floats:
    """Return (resamples, n): how often each answer is drawn, with replacement within its form and arm.

    A form shows a fixed number of exemplars and of other images, so both numbers stay.
    """
    generator = np.random.default_rng(seed)
    weights = np.zeros((resamples, len(given.values)))
    for form in np.unique(given.form):
        for is_pie in ARMS.values():
            places = np.flatnonzero((given.form == form) & (given.is_pie == is_pie))
            if len(places):
                weights[:, places] = generator.multinomial(len(places), [1 / len(places)] * len(places), resamples)
    return weights


def _tests(given: Answers, question: str, settings: ForgettingSettings) -> Iterator[Tested]:
    pie, other = given.arm("pie"), given.arm("other")
    enough = min(len(pie), len(other)) > 1 and len(np.unique(given.values)) > 1
    for name, found in _pooled(pie, other) if enough else ((name, (np.nan, np.nan)) for name in POOLED):
        yield Tested(name, Estimate(float(found[0]), np.nan, np.nan), float(found[1]))
    difference, p = permutation_p(given, settings.permutations, settings.seed)
    yield Tested("permutation_within_forms", Estimate(difference, np.nan, np.nan), p)
    weights = resampled_images(given, settings.resamples, settings.seed)
    drawn = weights[:, given.is_pie], weights[:, ~given.is_pie]
    if question in RATINGS:
        delta = interval(float(cliffs_delta(pie, other)[0]), cliffs_delta(pie, other, drawn))
        yield Tested("cliffs_delta", delta, np.nan)
    else:
        change = weighted_mean(pie, drawn[0]) - weighted_mean(other, drawn[1])
        value = float(weighted_mean(pie)[0] - weighted_mean(other)[0])
        yield Tested("risk_difference", interval(value, change), np.nan)


POOLED = ("kruskal_wallis", "mann_whitney", "welch_t")
"""The published tests, of all forms together; the first is the one whose p-value was published."""


def _pooled(pie: Floats, other: Floats) -> Iterator[tuple[str, Sequence[float]]]:
    found = (
        stats.kruskal(pie, other),
        stats.mannwhitneyu(pie, other, alternative="two-sided"),
        stats.ttest_ind(pie, other, equal_var=False),
    )
    for name, result in zip(POOLED, found, strict=True):
        yield name, (float(result.statistic), float(result.pvalue))
