"""Retrieval on the test split: does a radiograph find its report among all, and a report its radiograph?"""

from collections.abc import Mapping

from numpy.typing import NDArray

from cxrflow.measured import Measured
from cxrflow.metrics import weighted_mean
from cxrflow.patchib.exported import Exported, TestSet
from cxrflow.patchib.measures import Key, Measures
from cxrflow.retrieval import AT, diagonal_ranks, recalls
from cxrflow.retrieval_measures import to_images, to_reports

I2T, T2I, LEGACY = "retrieval i2t", "retrieval t2i", "retrieval {} as released"


def retrieval_measures(export: Exported, test: TestSet) -> Measures:
    """Return R@1, 5, 10 and the median rank, for every image embedding and both directions, and recalls as released."""
    texts, studies = export.read("test/text"), test.rows["study_id"].to_numpy()
    found: Measures = {}
    for embedding in export.embeddings():
        images = export.read(f"test/image/{embedding}")
        to_text, to_image = to_reports(images, texts, test.texts), to_images(images, texts, test.texts, studies)
        found |= _keyed(export.model, I2T, embedding, to_text.measures(test.weights))
        found |= _keyed(export.model, T2I, embedding, to_image.measures(test.weights))
        found |= _legacy(export.model, embedding, images, texts, test)
    return found


def own_recalls(images: NDArray, texts: NDArray, test: TestSet) -> dict[str, NDArray]:
    """Return R@1, 5, 10 of radiographs that look for their text, 0 or 1 for each (N,)."""
    return recalls(to_reports(images, texts, test.texts).rank)


def _keyed(model: str, task: str, embedding: str, measures: Mapping[str, Measured]) -> Measures:
    return {Key(model, task, embedding, "", metric): one for metric, one in measures.items()}


def _legacy(model: str, embedding: str, images: NDArray, texts: NDArray, test: TestSet) -> Measures:
    """Return recalls as the released code counts: row i of the texts alone belongs to radiograph i."""
    found: Measures = {}
    for name, rank in (("i2t", diagonal_ranks(images, texts)), ("t2i", diagonal_ranks(texts, images))):
        for (metric, values), at in zip(recalls(rank).items(), AT, strict=True):
            key = Key(model, LEGACY.format(name), embedding, "", metric)
            chance = min(1.0, at / len(images))
            found[key] = Measured(float(values.mean()), weighted_mean(values, test.weights), 1, chance)
    return found
