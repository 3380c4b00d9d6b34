"""How close the model's own reports come to the radiologist's, beside writers that never see the image."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxrflow.errors import UserError
from cxrflow.metrics import interval, resampled_sums
from cxrflow.neural.settings import EvaluationSettings
from cxrflow.neural.texts import texts_by_image
from cxrflow.reports.radgraph_f1 import report_f1

Floats = NDArray[np.float64]
Sums = Mapping[str, Floats]
Graph = Mapping[str, Any]

COLUMNS = ["n", "n_patients", "writer", "metric", "value", "low", "high"]
ORDERS = (1, 2, 3, 4)
DECIMALS = 12
REWARDS: tuple[Any, ...] = ("entity", "partial", "complete")
MODEL = "model"
_WORD = re.compile(r"\d+\.\d+|[^\W_]+|\.")


class Report(NamedTuple):
    """What is compared of a report: text, graph in the schema of RadGraph, and the findings that it calls present."""

    text: str
    graph: Graph
    findings: frozenset[str]


@dataclass(frozen=True)
class ReportFiles:
    """Where reports are: text per image (parquet), graphs per image (JSON lines), findings per image or study."""

    texts: Path
    graphs: Path
    findings: Path

    @classmethod
    def of(cls, named: Any, writer: str) -> "ReportFiles | None":
        """Return the files `<writer>_texts`, `_graphs` and `_findings` of a rule's input; None where it has none."""
        names = [f"{writer}_{field.name}" for field in fields(cls)]
        given = all(hasattr(named, name) for name in names)
        return cls(*(Path(getattr(named, name)) for name in names)) if given else None

    def read(self, images: Sequence[str], found_in: Sequence[str]) -> list[Report]:
        """Return the reports of `images`; `found_in` are the names of the same reports in the findings table."""
        texts, graphs, present = texts_by_image(self.texts), _graphs(self.graphs, set(images)), _present(self.findings)
        for file, known in ((self.texts, texts), (self.graphs, graphs)):
            missing = [image for image in images if image not in known]
            if missing:
                hint = "Delete the file and run the workflow again: it was made from other images."
                raise UserError(f"{file} has no report of {len(missing)} images, {missing[0]} among them.", hint)
        named = zip(images, found_in, strict=True)
        return [Report(texts[image], graphs[image], present.get(name, frozenset())) for image, name in named]


def report_quality(
    samples: pd.DataFrame,
    generated: ReportFiles,
    reference: ReportFiles,
    common: Mapping[str, object],
    settings: EvaluationSettings,
) -> pd.DataFrame:
    """Return `quality_table` of the test split's `samples` (image_id, patient_id, study_id, split).

    Beside the `model` three writers who never see the image, without whom no value means anything: `most_common` gives
    the commonest report of the train split to all, `other_patient` the reference of another, random test patient, and
    `model_other_patient` what the model wrote for that one: what it is short of, the model has from the image.
    Findings of generated reports are named by image, those of references by study.
    """
    test, train = (samples[samples["split"] == name].sort_values("image_id") for name in ("test", "train"))
    images, patients = test["image_id"].tolist(), test["patient_id"].tolist()
    read = pd.concat([test, most_common(train, texts_by_image(reference.texts))])
    references = reference.read(read["image_id"].tolist(), read["study_id"].tolist())
    truth = references[: len(images)]
    written = {MODEL: generated.read(images, images)}
    for example in references[len(images) :]:
        written["most_common"] = [example] * len(images)
    if len(set(patients)) > 1:
        others = other_patients(patients, settings.seed)
        written["other_patient"] = [truth[other] for other in others]
        written["model_other_patient"] = [written[MODEL][other] for other in others]
    return quality_table(written, truth, patients, common, settings)


def most_common(samples: pd.DataFrame, texts: Mapping[str, str]) -> pd.DataFrame:
    """Return the first sample (one row) of the text that most studies have; none where no study has a text.

    Of equally common texts it is the first in the alphabet.
    """
    told = samples.assign(text=samples["image_id"].map(texts)).query("text != ''").sort_values(["text", "image_id"])
    studies = told.drop_duplicates("study_id")["text"].value_counts().sort_index()
    return told[told["text"] == studies.idxmax()].head(1) if len(studies) else told


def other_patients(patients: Sequence[str], seed: int) -> list[int]:
    """Return for each report the position of a random one of another patient. Needs two patients or more."""
    whose, generator = np.asarray(patients), np.random.default_rng([seed, len(patients)])
    return [int(generator.choice(np.flatnonzero(whose != patient))) for patient in whose]


def quality_table(
    written: Mapping[str, Sequence[Report]],
    truth: Sequence[Report],
    patients: Sequence[str],
    common: Mapping[str, object],
    settings: EvaluationSettings,
) -> pd.DataFrame:
    """Return one row per writer and metric (0 to 1), with 95 % intervals over resamples of patients.

    bleu_1 and bleu_4 are of the corpus (Papineni et al. 2002, no smoothing); sentence_bleu_4 is the mean over reports
    (smoothed as by Chen and Cherry 2014, method 3); rouge_l the mean F1 of longest common subsequences (Lin 2004);
    radgraph_* the mean F1 of entities, of entities with whether or with all that they relate to (Delbrouck et al.
    2022); findings_f1 the micro F1 of findings that are called present. `<metric>_minus_<writer>` of the model is its
    paired difference to another writer on the same resamples.
    """
    facts = {**common, "n": len(patients), "n_patients": len(set(patients))}
    found = {}
    for writer, reports in written.items():
        counts = report_counts(reports, truth)
        drawn = resampled_sums(counts.to_numpy(), patients, settings.resamples, settings.seed)
        sums = np.vstack([counts.to_numpy().sum(axis=0), drawn])
        measured = measure(dict(zip(counts.columns, sums.T, strict=True)))
        # The last digits of logarithms and sums depend on how arrays lie in memory; tables must not.
        found[writer] = {name: np.round(values, DECIMALS) for name, values in measured.items()}
    rows = [_row(facts, writer, name, values) for writer, own in found.items() for name, values in own.items()]
    for writer in [name for name in found if name != MODEL]:
        for name, values in found[writer].items():
            rows.append(_row(facts, MODEL, f"{name}_minus_{writer}", found[MODEL][name] - values))
    return pd.DataFrame(rows, columns=[*common, *COLUMNS])


def empty_quality(common: Mapping[str, object]) -> pd.DataFrame:
    """Return the table of a model that wrote no reports: no rows, all columns."""
    return pd.DataFrame(columns=[*common, *COLUMNS])


def report_counts(ours: Sequence[Report], theirs: Sequence[Report]) -> pd.DataFrame:
    """Return one row per report with all that metrics need; what they need of a corpus is the sum of its rows."""
    from rouge_score.rouge_scorer import RougeScorer
    from sacrebleu.metrics import BLEU

    bleu, rouge = BLEU(tokenize="none", effective_order=True), RougeScorer(["rougeL"], tokenizer=_Words)
    rows = []
    for our, their in zip(ours, theirs, strict=True):
        score = bleu.sentence_score(" ".join(words(our.text)), [" ".join(words(their.text))])
        row = {"reports": 1.0, "length": score.sys_len, "reference_length": score.ref_len}
        row |= {f"matches_{order}": score.counts[order - 1] for order in ORDERS}
        row |= {f"grams_{order}": score.totals[order - 1] for order in ORDERS}
        row |= {"sentence_bleu_4": score.score / 100, "rouge_l": rouge.score(their.text, our.text)["rougeL"].fmeasure}
        row |= {f"radgraph_{reward}": report_f1(our.graph, their.graph, reward) for reward in REWARDS}
        row |= {"right": len(our.findings & their.findings), "named": len(our.findings) + len(their.findings)}
        rows.append(row)
    return pd.DataFrame(rows, dtype=np.float64)


def words(text: str) -> list[str]:
    """Return the tokens that are compared: lower-case words, numbers and full stops.

    As is usual for MIMIC-CXR (Chen et al. 2020), other punctuation and de-identification marks (`___`) are dropped;
    words with hyphens are split, since tokenizers write them with and without spaces.
    """
    return _WORD.findall(text.lower())


def corpus_bleu(sums: Sums, order: int) -> Floats:
    """Return BLEU up to n-grams of `order`, from summed counts: one value per resample.

    The geometric mean of n-gram precisions, times exp(1 - reference length / length) where the reports are shorter
    than the references. 0 where an order has no match.
    """
    total = np.zeros(np.shape(sums["length"]))
    with np.errstate(divide="ignore", invalid="ignore"):
        for size in range(1, order + 1):
            total = total + np.log(sums[f"matches_{size}"]) - np.log(sums[f"grams_{size}"])
        brevity = np.minimum(0, 1 - np.divide(sums["reference_length"], sums["length"]))
        return np.nan_to_num(np.exp(total / order + brevity))


class _Words:
    """The tokenizer that ROUGE is to use."""

    tokenize = staticmethod(words)


def _mean_of(name: str) -> Callable[[Sums], Floats]:
    return lambda sums: np.divide(sums[name], sums["reports"])


def _findings_f1(sums: Sums) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.divide(2 * np.asarray(sums["right"]), sums["named"])


METRICS: dict[str, Callable[[Sums], Floats]] = {
    "bleu_1": lambda sums: corpus_bleu(sums, 1),
    "bleu_4": lambda sums: corpus_bleu(sums, 4),
    **{name: _mean_of(name) for name in ("sentence_bleu_4", "rouge_l", *(f"radgraph_{reward}" for reward in REWARDS))},
    "findings_f1": _findings_f1,
}


def measure(sums: Sums) -> dict[str, Floats]:
    """Return every metric of summed counts, one value per resample."""
    return {name: metric(sums) for name, metric in METRICS.items()}


def _row(facts: Mapping[str, object], writer: str, metric: str, values: Floats) -> dict[str, object]:
    """Return a row of the table; `values` are the measured one and those of the resamples."""
    return {**facts, "writer": writer, "metric": metric, **interval(float(values[0]), values[1:])._asdict()}


def _graphs(path: Path, wanted: set[str]) -> dict[str, Graph]:
    with path.open(encoding="utf-8") as lines:
        records = (json.loads(line) for line in lines if line.strip())
        return {record["study_id"]: record for record in records if record["study_id"] in wanted}


def _present(path: Path) -> dict[str, frozenset[str]]:
    table = pd.read_parquet(path, columns=["study_id", "finding", "status"])
    named = table[table["status"] == "present"].groupby("study_id")["finding"]
    return {str(study): frozenset(findings) for study, findings in named}
