"""A page that shows the exemplars of a cohort to people: one file without network access, made from browser.html."""

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.cohort.policies import UncertainPolicy
from cxrflow.files import write_text
from cxrflow.forgetting.browser_cards import Shown, card_data, chosen_images
from cxrflow.forgetting.ensembles import gather, place_of, seed_loaders
from cxrflow.forgetting.settings import ExemplarSettings
from cxrflow.forgetting.truths import labelled_samples, predicted_truth

TEMPLATE = Path(__file__).with_name("browser.html")
# As JSON may write them, and no tag can begin: data ends no script element, and JavaScript counts these as line ends.
_ESCAPES = {character: f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}


@dataclass(frozen=True)
class AboutPage:
    """What the page says of the whole it is taken from."""

    cohort: str
    simulated: bool
    axis: str
    """What was taken away, such as `weights set to zero`."""
    level: float
    """How much of it, as a share."""
    share: float
    """Share of the test images that are exemplars."""
    seeds: int
    """Models behind each mean probability."""
    images: int
    """Test images."""


def browse_exemplars(
    output: Path,
    exemplars: Path,
    predictions: Sequence[Path],
    cohort: CohortFiles,
    model: str,
    settings: ExemplarSettings,
    uncertain: UncertainPolicy,
    axis: str,
) -> None:
    """Write the page of the exemplars in a results table, with the probabilities of all seeds' `predictions`.

    `model` is the way to compress, `uncertain` how uncertain labels count, `axis` what is taken away. Raises UserError
    where an exemplar has no prediction, or is no test image.
    """
    table = pd.read_parquet(exemplars)
    samples = labelled_samples(cohort, predictions[0], uncertain)
    truth = predicted_truth(samples, predictions[0])
    samples = samples[samples["image_id"].isin(truth.image_ids)]
    whole, compressed, seeds = mean_probabilities(predictions, model, truth.image_ids.tolist(), settings.level)
    said, images = table.iloc[0], len(truth.image_ids)
    about = AboutPage(
        said["cohort"], bool(said["simulated"]), axis, settings.level, settings.share, seeds, images
    )  # fmt: skip
    write_browser(output, table, Shown(truth, whole, compressed, samples, cohort.store()), about)


def mean_probabilities(
    predictions: Sequence[Path], model: str, image_ids: Sequence[str], level: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """Return mean probabilities (N, C) of the whole and of the compressed models, and how many seeds they are of.

    `predictions` are tables of all seeds, in any order. Raises UserError where they lack an image or `level`.
    """
    ensembles = gather(seed_loaders(predictions, model, image_ids), level)
    seeds = len(ensembles.seeds)
    return ensembles.sums[0] / seeds, ensembles.sums[place_of(ensembles.levels, level)] / seeds, seeds


def write_browser(output: Path, exemplars: pd.DataFrame, shown: Shown, about: AboutPage, seed: int = 0) -> None:
    """Write the page of all exemplars and of as many other images, drawn with `seed`.

    `exemplars` has image_id, agreement, is_pie and n_diseases. Raises UserError where one of them is not in `shown`.
    """
    cards = card_data(chosen_images(exemplars, seed), shown)
    write_text(output, page({"about": asdict(about), "classes": list(shown.truth.classes), "cards": cards}))


def page(content: dict[str, Any]) -> str:
    """Return the page of `content`: about (AboutPage), classes, and cards (see `card_data`).

    Everything that came from data is escaped, and the page's policy lets only its own script and style take effect.
    """
    template = TEMPLATE.read_text(encoding="utf-8")
    about = content["about"]
    title = f"Pruning-identified exemplars of {about['cohort']}" + (" (simulated)" if about["simulated"] else "")
    values = {"title": escape(title), "policy": _policy(template), "data": _json(content)}
    return re.sub(r"\{\{(\w+)\}\}", lambda match: values[match[1]], template)


def _json(content: dict[str, Any]) -> str:
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return re.sub("[<>&\u2028\u2029]", lambda match: _ESCAPES[match[0]], text)


def _policy(template: str) -> str:
    """Return a content security policy: pictures from data, the one style and the one script, and nothing else."""
    sources = {"style": r"<style>(.*?)</style>", "script": r"<script>(.*?)</script>"}
    allowed = [f"{kind}-src '{_digest(template, pattern)}'" for kind, pattern in sources.items()]
    return "; ".join(["default-src 'none'", "img-src data:", *allowed])


def _digest(template: str, pattern: str) -> str:
    found = re.findall(pattern, template, re.DOTALL)
    if len(found) != 1:
        raise ValueError(f"{TEMPLATE} has {len(found)} parts {pattern}, expected one")
    return "sha256-" + base64.b64encode(hashlib.sha256(found[0].encode()).digest()).decode("ascii")
