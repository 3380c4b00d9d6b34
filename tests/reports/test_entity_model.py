from pathlib import Path

import pandas as pd
import pytest
import spacy
from pydantic import ValidationError
from tests.reports.conftest import Extractor

from cxrflow.errors import UserError
from cxrflow.reports.entity_model import load_model
from cxrflow.reports.extract import BATCH, extract_reports, stream
from cxrflow.reports.settings import ExtractSettings

ENTITIES = ["pleural effusion", "pneumothorax", "heart", "enlarged", "granular pattern", "azygous lung", "left base"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Save a pipeline that knows a handful of entities by their words, as an installed model would be found."""
    nlp = spacy.blank("en")
    ruler = nlp.add_pipe("entity_ruler")
    ruler.add_patterns(
        [{"label": "ENTITY", "pattern": [{"LOWER": word} for word in words.split()]} for words in ENTITIES]
    )
    folder = tmp_path_factory.mktemp("model")
    nlp.to_disk(folder)
    return str(folder)


def read(extract: Extractor, model: str, text: str) -> tuple[dict[str, str], dict[str, str]]:
    findings, graph = extract(text, extractor="scispacy-model", model=model)
    labels = {entity["tokens"]: entity["label"] for entity in graph["entities"].values()}
    return dict(zip(findings["finding"], findings["status"], strict=True)), labels


def test_entities_that_the_lexicon_knows_carry_its_names(extract: Extractor, model: str) -> None:
    found, labels = read(extract, model, "Small left pleural effusion, no pneumothorax.")
    assert found == {"effusion": "present", "pneumothorax": "absent"}
    assert labels == {
        "Small": "OBS-DP", "left": "ANAT-DP", "pleural": "ANAT-DP", "effusion": "OBS-DP", "pneumothorax": "OBS-DA",
    }  # fmt: skip


def test_a_state_still_needs_its_anatomy(extract: Extractor, model: str) -> None:
    assert read(extract, model, "The heart is enlarged.")[0] == {"cardiomegaly": "present"}


def test_what_the_model_does_not_mark_is_no_entity(extract: Extractor, model: str) -> None:
    found, labels = read(extract, model, "Pneumothorax and severe edema.")
    assert found == {"pneumothorax": "present"}
    assert "edema" not in labels


def test_an_entity_without_a_name_is_an_observation_of_graphs(extract: Extractor, model: str) -> None:
    found, labels = read(extract, model, "Possible granular pattern. No granular pattern in the heart.")
    assert found == {}
    assert labels["granular pattern"] == "OBS-DA"
    assert set(labels) == {"granular pattern", "heart"}
    graph = extract("Granular pattern in the heart.", extractor="scispacy-model", model=model)[1]
    assert graph["entities"]["1"]["relations"] == [["located_at", "2"]]


def test_anatomy_that_the_model_marks_is_anatomy(extract: Extractor, model: str) -> None:
    labels = read(extract, model, "Azygous lung and left base.")[1]
    assert labels == {"lung": "ANAT-DP", "left": "ANAT-DP", "base": "ANAT-DP"}


def test_workers_change_nothing(model: str) -> None:
    reports = pd.DataFrame({"study_id": [f"{at:04d}" for at in range(BATCH + 9)], "text": "No pneumothorax. Heart."})
    settings = ExtractSettings(extractor="scispacy-model", model=model)
    assert list(stream(reports, settings, 1)) == list(stream(reports, settings, 2))
    assert len(extract_reports(reports, settings)[0]) == len(reports)


@pytest.mark.parametrize("name", ["no_such_model_sm", "numpy", "../model", "a/b", "http:x", "os;x", "a.b", "-m"])
def test_a_model_that_is_not_there_is_told(name: str) -> None:
    with pytest.raises(UserError, match="en_core_sci_sm"):
        load_model(name)


def test_a_missing_model_is_told_with_workers_too() -> None:
    reports = pd.DataFrame({"study_id": [f"{at:04d}" for at in range(BATCH + 9)], "text": "Heart."})
    settings = ExtractSettings(extractor="scispacy-model", model="no_such_model_sm")
    with pytest.raises(UserError, match="en_core_sci_sm"):
        next(stream(reports, settings, 2))


def test_a_folder_that_is_no_model_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"config\.cfg"):
        load_model(str(tmp_path))


def test_a_model_without_entities_is_told(tmp_path: Path) -> None:
    spacy.blank("en").to_disk(tmp_path / "blank")
    with pytest.raises(UserError, match="marks no entities"):
        load_model(str(tmp_path / "blank"))


def test_the_model_is_named_where_it_is_used_and_only_there() -> None:
    with pytest.raises(ValidationError, match="en_core_sci_sm"):
        ExtractSettings(extractor="scispacy-model")
    with pytest.raises(ValidationError, match="only read by"):
        ExtractSettings(model="en_core_sci_sm")
