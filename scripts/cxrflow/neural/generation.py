"""Has the trained model write the report of every radiograph of a split."""

import logging
from pathlib import Path

import pandas as pd
import torch
from tokenizers import Tokenizer
from torch import Tensor

from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.files import write_table
from cxrflow.neural.dataset import split_samples
from cxrflow.neural.masking import tidy
from cxrflow.neural.settings import DataSettings, TextSettings, VlmSettings
from cxrflow.neural.tokenizer import decode, load_tokenizer
from cxrflow.neural.vlm import VisionLanguageModel, load_model
from cxrflow.radiographs import image_batches
from cxrflow.training import prepare_torch, this_device

logger = logging.getLogger(__name__)


def generate_reports(
    cohort: CohortFiles,
    weights: Path,
    tokenizer: Path,
    split: str,
    output: Path,
    data: DataSettings,
    settings: VlmSettings,
    texts: TextSettings,
    threads: int,
) -> None:
    """Write a table of image_id, study_id (the image's too, so that the extractor reads it like any report) and text.

    The model sees the image alone. Each step is many small operations: on a processor more than one thread is rarely
    faster, and much slower where other jobs want the same cores.
    """
    prepare_torch(threads, settings.seed)
    words = load_tokenizer(tokenizer)
    samples = split_samples(cohort, split)
    model = load_model(weights, data, settings, words.get_vocab_size())
    written: list[str] = []
    for _, images in image_batches(cohort.store(), samples, texts.batch_size):
        written += write_reports(model, images, words, settings.decoder.max_text_length, texts.beams)
        logger.info("%s: %d of %d reports written", split, len(written), len(samples))
    ids = samples["image_id"]
    write_table(output, pd.DataFrame({"image_id": ids, "study_id": ids, "text": written}))


@torch.no_grad()
def write_reports(model: VisionLanguageModel, images: Tensor, words: Tokenizer, length: int, beams: int) -> list[str]:
    """Return a report of at most `length` tokens for each of images (B, 1, S, S) in 0..1."""
    tokens = model.write(model.encoder(images.to(this_device())), length, beams)
    return [tidy(text) for text in decode(words, tokens.cpu())]
