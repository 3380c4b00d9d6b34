"""The small towers learn words first, then pairs on a stem that stays as it is, and open_clip reads what they leave."""

from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from tests.patchib.conftest import CONTEXT, REPORTS, SETTINGS, SIZE, Cohort

from cxrflow.classification.classifier import SmallClassifier
from cxrflow.patchib.small_towers import TowerFiles, train_small_towers, trained_tokenizer
from cxrflow.towers import build_tokenizer, build_towers
from cxrflow.weights import save_weights

NAMES = ("open_clip_config.json", "open_clip_model.safetensors", "config.json", "tokenizer.json")
QUICK = SETTINGS.model_copy(
    update={"small": SETTINGS.small.model_copy(update={"epochs_words": 4, "epochs_pairs": 2, "batch_size": 8})}
)


@pytest.fixture(scope="module")
def made(cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("small")
    torch.manual_seed(5)
    save_weights(SmallClassifier(2, (16, 32)), root / "backbone.safetensors")
    files = TowerFiles(*(root / name for name in (*NAMES, "tokenizer_config.json", "history.csv", "resume")))
    train_small_towers(cohort.files, cohort.master, root / "backbone.safetensors", files, QUICK, [], threads=1)
    return root


def test_the_tokenizer_is_the_same_each_time_and_loses_no_word() -> None:
    texts = [*REPORTS, "Quick zebras jump over fixed wave guides, by chance and kindly."] * 2
    first, *others = (trained_tokenizer(texts, 120).to_str() for _ in range(4))
    assert others == [first] * 3
    tokenizer = trained_tokenizer(texts, 120)
    assert tokenizer.token_to_id("[UNK]") not in tokenizer.encode(texts[0]).ids


def test_both_phases_learn(made: Path) -> None:
    history = pd.read_csv(made / "history.csv")
    assert history["phase"].tolist() == ["words"] * 4 + ["pairs"] * 2
    words = history.loc[history["phase"] == "words", "text"]
    assert words.iloc[-1] < 0.9 * words.iloc[0]


def test_the_stem_is_the_backbone_statistics_included(made: Path) -> None:
    backbone, towers = load_file(made / "backbone.safetensors"), load_file(made / "open_clip_model.safetensors")
    stem = "visual.trunk.patch_embed.body."
    own = {name.removeprefix(stem): value for name, value in towers.items() if name.startswith(stem)}
    assert own
    assert all(torch.equal(value, backbone[f"body.{name}"]) for name, value in own.items())


def test_the_folder_is_an_open_clip_model_with_its_tokenizer(made: Path) -> None:
    towers, words = build_towers(str(made), SIZE), build_tokenizer(str(made), CONTEXT)
    tokens = words.encode(["Clear lungs."])
    assert tokens.shape == (1, CONTEXT)
    assert tokens[0, 0] in words.marks
    assert int((tokens[0] == words.pad).sum()) > 0
    assert towers.embedding == SETTINGS.small.embedding
    assert not (made / "resume").exists() or list((made / "resume").iterdir()) == []
