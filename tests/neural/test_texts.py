"""Masked reports hide every mention of the targets, their graphs stay in step, and every image has its text."""

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxrflow.errors import UserError
from cxrflow.neural.alignment import entity_characters
from cxrflow.neural.masking import hidden_findings, masked_graph, tidy
from cxrflow.neural.texts import ReadFiles, TextFiles, read_texts, write_texts
from cxrflow.reports.extract import extract_reports, write_extraction
from cxrflow.reports.settings import ExtractSettings

TARGETS = ["Cardiomegaly", "Edema", "Pleural Effusion", "Support Devices"]
REPORTS = {
    "s1": "The heart is mildly enlarged. No congestive heart failure (CHF) or pleural effusion. CHF has resolved.",
    "s2": "Right-sided chest tube. Small left pleural effusions, larger than the nodule. Lungs are clear.",
    "s3": "Vascular congestion without pulmonary edema; cardiomegaly is unchanged. Picc line tip in the svc.",
    "s4": "",
    "s5": "Heart size is normal. Possible hydropneumothorax.",
}


def entity(words: str, start: int, end: int, relations: list[list[str]] | None = None) -> dict[str, object]:
    return {"tokens": words, "label": "OBS-DP", "start_ix": start, "end_ix": end, "relations": relations or []}


def graph() -> dict[str, object]:
    """'No large pleural effusion or mass in the left lung .' with five entities."""
    entities = {
        "1": entity("large", 1, 1, [["modify", "3"]]),
        "2": entity("pleural", 2, 2),
        "3": entity("effusion", 3, 3, [["located_at", "2"]]),
        "4": entity("mass", 5, 5, [["located_at", "5"], ["suggestive_of", "3"]]),
        "5": entity("left lung", 8, 9),
    }
    return {"study_id": "s", "text": "No large pleural effusion or mass in the left lung .", "entities": entities}


def test_a_mention_becomes_one_blank_and_what_follows_moves_up() -> None:
    masked = masked_graph(graph(), [(2, 3)])
    assert masked["text"] == "No large ___ or mass in the left lung ."
    assert masked["entities"] == {
        "1": entity("large", 1, 1),
        "2": entity("mass", 4, 4, [["located_at", "3"]]),
        "3": entity("left lung", 7, 8),
    }
    assert masked_graph(graph(), []) == graph()


def test_an_entity_that_shares_one_token_with_a_mention_is_gone() -> None:
    assert [kept["tokens"] for kept in masked_graph(graph(), [(9, 9)])["entities"].values()] == [
        "large",
        "pleural",
        "effusion",
        "mass",
    ]


def test_a_short_form_in_parentheses_goes_with_its_long_form() -> None:
    record = {"study_id": "s", "text": "heart failure ( CHF ) with rales ( both sides )", "entities": {}}
    assert masked_graph(record, [(0, 1), (6, 6)])["text"] == "___ ( ___ ) with ___ ( both sides )"


@st.composite
def records(draw: st.DrawFn) -> tuple[dict, list[tuple[int, int]]]:
    """A report of different words; entities (also overlapping), relations among them, and mentions anywhere."""
    words = [f"w{number}" for number in range(draw(st.integers(1, 25)))]
    span = st.tuples(st.integers(0, len(words) - 1), st.integers(0, 3)).map(
        lambda pair: (pair[0], min(pair[0] + pair[1], len(words) - 1))
    )
    places = draw(st.lists(span, max_size=8))
    keys = [str(number) for number in range(1, len(places) + 1)]
    relations = [draw(st.lists(st.sampled_from(keys), max_size=3)) for _ in keys]
    entities = {
        key: entity(" ".join(words[start : end + 1]), start, end, [["modify", target] for target in targets])
        for key, (start, end), targets in zip(keys, places, relations, strict=True)
    }
    return {"study_id": "s", "text": " ".join(words), "entities": entities}, draw(st.lists(span, max_size=5))


@given(records())
def test_offsets_stay_right_and_nothing_hidden_is_left(case: tuple[dict, list[tuple[int, int]]]) -> None:
    record, mentions = case
    masked = masked_graph(record, mentions)
    tokens, words = masked["text"].split(), record["text"].split()
    hidden = {word for start, end in mentions for word in words[start : end + 1]}
    assert [token for token in tokens if token != "___"] == [word for word in words if word not in hidden]
    assert not any(one == other == "___" for one, other in pairwise(tokens))
    for kept in masked["entities"].values():
        assert tokens[kept["start_ix"] : kept["end_ix"] + 1] == kept["tokens"].split()
        assert {target for _, target in kept["relations"]} <= set(masked["entities"])
    left = [known["tokens"] for known in record["entities"].values() if hidden.isdisjoint(known["tokens"].split())]
    assert [kept["tokens"] for kept in masked["entities"].values()] == left


def test_children_of_a_target_are_hidden_with_it() -> None:
    assert hidden_findings(["Lung Opacity"]) == {"opacity", "consolidation", "pneumonia"}
    assert hidden_findings(["Edema", "Pneumothorax"]) == {"edema", "congestion", "heart_failure", "pneumothorax"}
    with pytest.raises(UserError, match="No Finding"):
        hidden_findings(["Edema", "No Finding"])


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        ("Heart , lungs ( both ) : clear .", "Heart, lungs (both): clear."),
        ("a right - sided and / or left tube", "a right-sided and/or left tube"),
        ("the patient 's ___ , ___ .", "the patient's ___, ___."),
        ("  no   change ", "no change"),
        ("", ""),
    ],
)
def test_tokens_are_spaced_like_writing(tokens: str, text: str) -> None:
    assert tidy(tokens) == text
    assert tidy(text) == text


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the extractor leaves of the reports, and of others that a model may have written for the images."""
    root = tmp_path_factory.mktemp("texts")
    reports = pd.DataFrame({"study_id": list(REPORTS), "text": list(REPORTS.values())})
    write_extraction(reports, root / "findings.parquet", root / "graphs.jsonl", ExtractSettings())
    samples().to_parquet(root / "samples.parquet")
    own = pd.DataFrame({"image_id": samples()["image_id"], "study_id": samples()["image_id"]})
    own["text"] = ["mild edema, no effusion.", "", "the heart is normal.", "a catheter.", "clear lungs.", "effusion."]
    own.iloc[:4].to_parquet(root / "generated_train.parquet")
    own.iloc[4:].to_parquet(root / "generated_test.parquet")
    write_extraction(own, root / "generated_findings.parquet", root / "generated_graphs.jsonl", ExtractSettings())
    return root


def samples() -> pd.DataFrame:
    """Six images: the first study has two."""
    studies = ["s1", "s1", "s2", "s3", "s4", "s5"]
    texts = [REPORTS[study] for study in studies]
    return pd.DataFrame({"image_id": [f"i{n}" for n in range(6)], "study_id": studies, "text": texts})


def write(folder: Path, output: Path, settings: tuple[str, ...], images: pd.DataFrame | None = None) -> dict:
    files = {name: TextFiles(output / f"{name}.parquet", output / f"{name}.jsonl") for name in settings}
    generated = any("generated" in name for name in settings)
    write_texts(
        samples() if images is None else images,
        files,
        ReadFiles(folder / "graphs.jsonl", folder / "findings.parquet"),
        TARGETS,
        [folder / "generated_train.parquet", folder / "generated_test.parquet"] if generated else [],
        ReadFiles(folder / "generated_graphs.jsonl", folder / "generated_findings.parquet") if generated else None,
    )
    return files


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_every_image_has_its_text_and_its_graph(folder: Path, tmp_path: Path) -> None:
    files = write(folder, tmp_path, ("reference", "masked", "generated", "generated_masked"))
    for setting, own in files.items():
        table, graphs = pd.read_parquet(own.texts), lines(own.graphs)
        assert list(table.columns) == ["image_id", "text"]
        assert table["image_id"].tolist() == [record["study_id"] for record in graphs] == samples()["image_id"].tolist()
        for record, text in zip(graphs, table["text"], strict=True):
            assert "".join(record["text"].split()) == "".join(text.split()), setting
            tokens = record["text"].split()
            for kept in record["entities"].values():
                assert tokens[kept["start_ix"] : kept["end_ix"] + 1] == kept["tokens"].split()
    assert read_texts(files["reference"], ["i2", "i0"]) == [REPORTS["s2"], REPORTS["s1"]]
    assert read_texts(files["generated"], ["i4", "i1"]) == ["clear lungs.", ""]
    assert read_texts(files["generated_masked"], ["i0", "i3", "i4"]) == ["mild ___, no ___.", "a ___.", "clear lungs."]


def test_a_masked_report_has_no_mention_of_a_target_left(folder: Path, tmp_path: Path) -> None:
    files = write(folder, tmp_path, ("masked",))["masked"]
    hidden = hidden_findings(TARGETS)
    original = pd.read_parquet(folder / "findings.parquet")
    assert original["finding"].isin(hidden).sum() >= 10
    table = pd.read_parquet(files.texts)
    again, _ = extract_reports(table.rename(columns={"image_id": "study_id"}), ExtractSettings())
    assert not set(again["finding"]) & hidden
    assert "nodule" in set(again["finding"])
    words = {
        word for kept in lines(files.graphs) for one in kept["entities"].values() for word in one["tokens"].split()
    }
    assert not {word.lower() for word in words} & {"effusion", "effusions", "chf", "congestion", "edema", "tube"}
    assert read_texts(files, ["i2"])[0].startswith("Right-sided ___. Small left ___, larger than the nodule.")
    assert "normal" in read_texts(files, ["i5"])[0]  # words of normality are nobody's mention


def test_without_generated_settings_nothing_generated_is_read(folder: Path, tmp_path: Path) -> None:
    assert set(write(folder, tmp_path, ("reference",))) == {"reference"}
    with pytest.raises(ValueError, match="generated"):
        write_texts(
            samples(),
            {"generated": TextFiles(tmp_path / "g.parquet", tmp_path / "g.jsonl")},
            ReadFiles(folder / "graphs.jsonl", folder / "findings.parquet"),
            TARGETS,
        )


def test_images_without_text_or_graph_are_told(folder: Path, tmp_path: Path) -> None:
    other = pd.concat([samples(), pd.DataFrame({"image_id": ["i9"], "study_id": ["s9"], "text": ["Clear."]})])
    with pytest.raises(UserError, match="1 of 6 reports have no graph"):
        write(folder, tmp_path, ("reference",), other)
    with pytest.raises(UserError, match="1 of 7 radiographs have no text"):
        write(folder, tmp_path, ("generated",), other)


def test_words_are_found_wherever_the_blanks_are() -> None:
    record = graph()
    record["entities"] = {"1": entity("pleural", 2, 2), "2": entity("left lung", 8, 9)}
    for text in (
        "No large pleural effusion or mass in the left lung.",
        "No LARGE Pleural  effusion or mass in theleft lung",
    ):
        letters = "".join(np.array(list(text))[entity_characters(text, record)])
        assert letters.lower() in ("pleuralleftlung", "pleurallung")
    assert entity_characters("", record).shape == (0,)


def test_words_are_found_where_an_annotated_text_lacks_some() -> None:
    record = {
        "text": "no effusion . left tube",
        "entities": {"1": entity("left tube", 3, 4), "2": entity("effusion", 1, 1)},
    }
    text = "1. No effusion. COMPARISON: left film. 2. A left tube."
    marked = entity_characters(text, record)
    assert "".join(np.array(list(text))[marked]) == "effusionlefttube"
    assert marked[text.rindex("left") :][:4].all()


def test_the_hash_seed_changes_nothing(folder: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; import pandas as pd\n"
        "from cxrflow.neural.texts import ReadFiles, TextFiles, write_texts\n"
        "folder, output = map(Path, sys.argv[1:])\n"
        "write_texts(pd.read_parquet(folder / 'samples.parquet'),\n"
        "    {'masked': TextFiles(output / 'm.parquet', output / 'm.jsonl')},\n"
        "    ReadFiles(folder / 'graphs.jsonl', folder / 'findings.parquet'), ['Edema', 'Pleural Effusion'])\n"
    )
    made = []
    for seed in ("1", "2"):
        output = tmp_path / seed
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        subprocess.run([sys.executable, "-c", code, str(folder), str(output)], check=True, env=environment)
        made.append([(output / name).read_bytes() for name in ("m.parquet", "m.jsonl")])
    assert made[0] == made[1]
