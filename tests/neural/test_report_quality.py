"""Report metrics by hand, against the libraries, and for writers whose quality is known beforehand."""

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.metrics import BLEU

from cxrflow.errors import UserError
from cxrflow.neural.report_quality import (
    METRICS,
    Report,
    ReportFiles,
    corpus_bleu,
    measure,
    most_common,
    other_patients,
    quality_table,
    report_counts,
    report_quality,
    words,
)
from cxrflow.neural.settings import EvaluationSettings

QUICK = EvaluationSettings(resamples=100)
COMMON = {"cohort": "c", "simulated": True}


def graph(*entities: tuple[str, str]) -> dict[str, object]:
    marked = {
        str(number): {"tokens": tokens, "label": label, "start_ix": number, "end_ix": number, "relations": []}
        for number, (tokens, label) in enumerate(entities)
    }
    return {"text": "", "entities": marked}


def said(text: str, *findings: str) -> Report:
    return Report(text, graph(*((word, "OBS-DP") for word in findings)), frozenset(findings))


def sums_of(ours: list[Report], theirs: list[Report]) -> dict[str, np.ndarray]:
    counts = report_counts(ours, theirs)
    return {name: counts[name].to_numpy().sum(keepdims=True) for name in counts}


def test_words_are_lower_case_without_punctuation_but_full_stops() -> None:
    text = "Well-expanded lungs, ___ (1.5 cm nodule)."
    assert words(text) == ["well", "expanded", "lungs", "1.5", "cm", "nodule", "."]
    assert words("") == []


def test_bleu_and_rouge_by_hand() -> None:
    ours, theirs = [said("The heart is very large")], [said("the heart is large today also")]
    sums = sums_of(ours, theirs)
    # the, heart, is, large of 5 words; "the heart", "heart is" of 4 pairs; "the heart is" of 3; nothing of 2; 5 for 6
    assert [sums[f"matches_{order}"][0] for order in (1, 2, 3, 4)] == [4, 2, 1, 0]
    assert [sums[f"grams_{order}"][0] for order in (1, 2, 3, 4)] == [5, 4, 3, 2]
    brevity = math.exp(1 - 6 / 5)
    assert corpus_bleu(sums, 1) == pytest.approx(brevity * 4 / 5)
    assert corpus_bleu(sums, 3) == pytest.approx(brevity * (4 / 5 * 2 / 4 * 1 / 3) ** (1 / 3))
    assert corpus_bleu(sums, 4) == 0
    # smoothed: the first order without a match counts as half a match
    assert sums["sentence_bleu_4"] == pytest.approx(brevity * (4 / 5 * 2 / 4 * 1 / 3 * 0.5 / 2) ** (1 / 4))
    # the longest common subsequence is "the heart is large": precision 4/5, recall 4/6
    assert sums["rouge_l"] == pytest.approx(2 * 4 / (5 + 6))


def test_corpus_bleu_is_of_summed_counts_not_a_mean() -> None:
    ours = [said("a b c d e"), said("a b x d e f g h")]
    theirs = [said("a b c d e"), said("a b c d e f g h")]
    # words 5 + 7 of 13, pairs 4 + 5 of 11, triples 3 + 3 of 9, fours 2 + 2 of 7
    assert corpus_bleu(sums_of(ours, theirs), 4) == pytest.approx((12 / 13 * 9 / 11 * 6 / 9 * 4 / 7) ** (1 / 4))


TEXTS = st.lists(st.lists(st.sampled_from("abcde"), max_size=9).map(" ".join), min_size=2, max_size=6)


@settings(max_examples=40, deadline=None)
@given(TEXTS, st.integers(0, 9))
def test_summed_counts_give_the_librarys_corpus_bleu(texts: list[str], seed: int) -> None:
    drawn = np.random.default_rng(seed).permutation(len(texts))
    ours, theirs = [said(text) for text in texts], [said(texts[place]) for place in drawn]
    library = BLEU(tokenize="none", smooth_method="none")
    expected = library.corpus_score([own.text for own in ours], [[other.text for other in theirs]]).score / 100
    assert corpus_bleu(sums_of(ours, theirs), 4) == pytest.approx(expected, abs=1e-12)


def test_a_report_drawn_twice_counts_as_if_it_were_there_twice() -> None:
    ours, theirs = [said("a b c d e f"), said("a b c d x f")], [said("a b c d e"), said("a b c d e f")]
    counts = report_counts(ours, theirs)
    weighted = measure({name: np.array([[1, 2], [2, 0]]) @ counts[name].to_numpy() for name in counts})
    whole = [sums_of([ours[0], ours[1], ours[1]], [theirs[0], theirs[1], theirs[1]]), sums_of(ours[:1], theirs[:1])]
    for name, values in weighted.items():
        assert values == pytest.approx([measure(sums)[name][0] for sums in whole], nan_ok=True)


def test_entities_and_findings_by_hand() -> None:
    ours = [said("", "effusion", "nodule"), said("", "edema")]
    theirs = [said("", "effusion"), said("")]
    values = measure(sums_of(ours, theirs))
    assert values["radgraph_entity"] == pytest.approx((2 / 3 + 0) / 2)  # a mean of reports
    assert values["findings_f1"] == pytest.approx(2 * 1 / (3 + 1))  # one F1 of all findings
    assert np.isnan(measure(sums_of([said("a")], [said("a")]))["findings_f1"])


def test_a_perfect_writer_has_one_and_a_silent_writer_has_nothing() -> None:
    truth = [said(f"the {word} is seen .", word) for word in ("edema", "nodule", "mass")]
    written = {"model": truth, "silent": [said("")] * 3}
    table = quality_table(written, truth, ["p", "q", "r"], COMMON, QUICK).set_index(["writer", "metric"])
    for name in METRICS:
        assert table.loc[("model", name), ["value", "low", "high"]].tolist() == pytest.approx([1, 1, 1])
        assert table.loc[("silent", name), "value"] == 0
        assert table.loc[("model", f"{name}_minus_silent"), ["value", "low", "high"]].tolist() == pytest.approx([1] * 3)
    assert set(table["n"]) == {3}


def test_intervals_resample_patients_and_not_reports() -> None:
    ours, theirs = [said("a b c d e")] * 6, [said("a b c d e")] * 3 + [said("v w x y z")] * 3
    alone = quality_table({"model": ours}, theirs, list("pqrstu"), COMMON, QUICK)
    pooled = quality_table({"model": ours}, theirs, list("pppqqq"), COMMON, QUICK)
    widths = [table.set_index("metric").eval("high - low")["rouge_l"] for table in (alone, pooled)]
    assert alone["value"].equals(pooled["value"])
    assert widths[1] > widths[0]
    assert pooled["n_patients"].unique().tolist() == [2]


@given(st.lists(st.sampled_from(["p", "q", "r", "s"]), min_size=2, max_size=30), st.integers(0, 5))
def test_another_patients_report_is_never_ones_own(patients: list[str], seed: int) -> None:
    others = other_patients([*patients, "another"], seed)
    assert all(
        whose != [*patients, "another"][other] for whose, other in zip([*patients, "another"], others, strict=True)
    )
    assert others == other_patients([*patients, "another"], seed)


def test_the_commonest_text_is_counted_by_study() -> None:
    samples = pd.DataFrame({"image_id": list("abcdef"), "study_id": ["1", "1", "1", "2", "3", "4"]})
    texts = {"a": "long", "b": "long", "c": "long", "d": "normal", "e": "normal", "f": ""}
    assert most_common(samples, texts)["image_id"].tolist() == ["d"]
    assert most_common(samples[samples["image_id"] == "f"], texts).empty


def write_files(folder: Path, name: str, texts: dict[str, str], present: dict[str, str]) -> ReportFiles:
    files = ReportFiles(*(folder / f"{name}.{ending}" for ending in ("parquet", "jsonl", "findings.parquet")))
    pd.DataFrame({"image_id": list(texts), "text": list(texts.values())}).to_parquet(files.texts)
    files.graphs.write_text("".join(json.dumps({"study_id": image, **graph()}) + "\n" for image in texts))
    found = pd.DataFrame({"study_id": list(present), "finding": list(present.values()), "status": "present"})
    denied = found.assign(finding="fracture", status="absent")
    pd.concat([found, denied]).to_parquet(files.findings)
    return files


def test_the_writers_are_read_from_files(tmp_path: Path) -> None:
    ids = ["t1", "t2", "t3", "x1", "x2"]
    samples = pd.DataFrame({"image_id": ids, "patient_id": [f"p{image}" for image in ids]})
    samples["study_id"] = [f"s{image}" for image in ids]
    samples["split"] = ["train"] * 3 + ["test"] * 2
    said_there = dict(zip(ids, ["a b c d e", "a b c d e", "f", "v w x y z", "a b c d e"], strict=True))
    reference = write_files(tmp_path, "reference", said_there, {"sx1": "edema", "sx2": "nodule", "st1": "nodule"})
    generated = write_files(tmp_path, "generated", {"x1": "v w x y z", "x2": ""}, {"x1": "edema"})
    table = report_quality(samples, generated, reference, COMMON, QUICK).set_index(["writer", "metric"])["value"]
    assert table["model", "rouge_l"] == pytest.approx(1 / 2)  # the first is right, the second says nothing
    assert table["most_common", "rouge_l"] == pytest.approx(1 / 2)  # "a b c d e" is right in the second
    assert table["other_patient", "rouge_l"] == 0  # each has the other's
    assert table["model_other_patient", "rouge_l"] == 0  # nothing for the first, the first one's for the second
    assert table["model", "findings_f1"] == pytest.approx(2 / 3)  # edema found, nodule missed
    assert table["most_common", "findings_f1"] == pytest.approx(2 / 4)  # nodule said twice, right once
    assert table["model", "rouge_l_minus_other_patient"] == pytest.approx(1 / 2)


def test_reports_of_other_images_are_an_error_with_a_hint(tmp_path: Path) -> None:
    files = write_files(tmp_path, "generated", {"x1": "a"}, {})
    with pytest.raises(UserError, match="no report of 1 images, x2"):
        files.read(["x1", "x2"], ["x1", "x2"])
