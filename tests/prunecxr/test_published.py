import logging
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cxrflow.cohort.long_tail import NIH_CLASSES, PARTS, label_file
from cxrflow.errors import UserError
from cxrflow.forgetting.predictions import read_classes, read_seed, write_predictions
from cxrflow.prunecxr.published import (
    PublishedSource,
    export_predictions,
    import_predictions,
    read_published,
    read_test_labels,
    size_limit,
)
from cxrflow.prunecxr.published_grid import file_name, find_grid

CLASSES = list(NIH_CLASSES)
LEVELS = (0.0, 0.05, 0.9)
IDS = [f"0000000{patient}_000.png" for patient in (7, 3, 5, 9)]  # in no alphabetical order, as label files may be
POSITIVE = [["Hernia"], ["No Finding"], ["Infiltration", "Mass"], []]


def label_table(ids: list[str], positive: list[list[str]]) -> pd.DataFrame:
    rows = [[int(name in names) for name in CLASSES] for names in positive]
    table = pd.DataFrame(rows, columns=CLASSES)
    return table.assign(id=ids, subj_id=[int(one[:8]) for one in ids])[["id", *CLASSES, "subj_id"]]


def probabilities(seed: int, level: float, rows: int = len(IDS)) -> np.ndarray:
    return np.random.default_rng([seed, int(level * 100)]).random((rows, len(CLASSES)), dtype=np.float32)


def published_table(values: np.ndarray, positive: list[list[str]] = POSITIVE) -> pd.DataFrame:
    table = pd.DataFrame(values, columns=pd.Index(CLASSES, dtype=object))
    return table.assign(label=pd.Series(["|".join(names) for names in positive], dtype=object))


@pytest.fixture
def source(tmp_path: Path) -> PublishedSource:
    """Return predictions of two seeds at three sparsities, of four test images."""
    folder, labels = tmp_path / "predictions", tmp_path / "labels"
    folder.mkdir()
    labels.mkdir()
    for part in PARTS:
        ids, positive = (IDS, POSITIVE) if part == "test" else ([f"0000010{len(part)}_000.png"], [["Mass"]])
        label_table(ids, positive).to_csv(label_file(labels, "nih-cxr-lt", part), index=False)
    for seed in (0, 11):
        for level, shown in zip(LEVELS, ("0", "0.05", "0.9"), strict=True):
            path = folder / f"nih-cxr-lt_resnet50_seed-{seed}_prune-{shown}.pkl"
            path.write_bytes(pickle.dumps(published_table(probabilities(seed, level))))
    return PublishedSource(folder, labels, "nih-cxr-lt")


@pytest.fixture
def split(tmp_path: Path) -> Path:
    """Return a split with all published test images and one of training."""
    path = tmp_path / "split.parquet"
    parts = ["test"] * len(IDS) + ["train"]
    pd.DataFrame({"image_id": [*sorted(IDS), "00000105_000.png"], "split": parts}).to_parquet(path)
    return path


def rewrite(source: PublishedSource, table: pd.DataFrame) -> Path:
    path = source.folder / file_name("nih-cxr-lt", "resnet50", 0, 0.9)
    path.write_bytes(pickle.dumps(table))
    return path


@pytest.mark.parametrize(
    ("level", "shown"),
    [(0, "0"), (0.05, "0.05"), (0.1, "0.1"), (3 * 0.05, "0.15"), (0.95, "0.95"), (np.float64(0.7), "0.7")],
)
def test_a_sparsity_is_written_as_its_shortest_decimal(level: float, shown: str) -> None:
    assert file_name("mimic-cxr-lt", "resnet50", 29, level) == f"mimic-cxr-lt_resnet50_seed-29_prune-{shown}.pkl"


def test_the_grid_is_every_seed_at_every_sparsity(source: PublishedSource) -> None:
    (source.folder / "nih-cxr-lt_resnet50_seed-0_prune-0_val.pkl").write_bytes(b"never read")
    (source.folder / "mimic-cxr-lt_resnet50_seed-5_prune-0.5.pkl").write_bytes(b"never read")
    grid = find_grid(source.folder, "nih-cxr-lt")
    assert grid.seeds == (0, 11)
    assert grid.levels == LEVELS
    assert len(grid.files) == 6


def test_a_sparsity_written_with_the_error_of_its_sum_is_the_same_sparsity(source: PublishedSource) -> None:
    for seed in (0, 11):
        name = source.folder / f"nih-cxr-lt_resnet50_seed-{seed}_prune-"
        Path(f"{name}0.05.pkl").rename(f"{name}0.15000000000000002.pkl")
    grid = find_grid(source.folder, "nih-cxr-lt", levels=[0.15])
    assert grid.levels == (0.0, 0.15)
    assert grid.files[11, 0.15].exists()


def test_a_hole_in_the_grid_is_told_by_its_names(source: PublishedSource) -> None:
    hole = file_name("nih-cxr-lt", "resnet50", 11, 0.05)
    (source.folder / hole).unlink()
    with pytest.raises(UserError, match=rf"2 seeds and lacks 1 files: {hole}\."):
        find_grid(source.folder, "nih-cxr-lt")
    assert find_grid(source.folder, "nih-cxr-lt", levels=[0.9]).levels == (0.0, 0.9)


def test_sparsities_that_were_not_published_are_told(source: PublishedSource) -> None:
    with pytest.raises(UserError, match=r"lacks 2 files: .*seed-0_prune-0\.5\.pkl"):
        find_grid(source.folder, "nih-cxr-lt", levels=[0.0, 0.5, 0.9])


def test_an_empty_or_absent_folder_is_told(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(UserError, match="no mimic-cxr-lt_resnet50_seed-"):
            find_grid(folder, "mimic-cxr-lt")


def test_rows_get_their_image_from_the_label_file(source: PublishedSource, split: Path, tmp_path: Path) -> None:
    output = tmp_path / "predictions.parquet"
    import_predictions(output, source, split, 11, "l1")
    read = read_seed([output], "l1", sorted(IDS))
    assert read.seed == 11
    assert read.levels.tolist() == list(LEVELS)
    order = [IDS.index(image) for image in sorted(IDS)]
    for level, values in zip(LEVELS, read.probabilities, strict=True):
        np.testing.assert_array_equal(values, probabilities(11, level)[order])
    assert read_classes(output) == tuple(CLASSES)
    assert set(pd.read_parquet(output)["model"]) == {"dense", "l1"}


def test_columns_are_found_by_name_and_labels_in_any_order(source: PublishedSource) -> None:
    table = published_table(probabilities(0, 0.9), [["Hernia"], ["No Finding"], ["Mass", "Infiltration"], []])
    path = rewrite(source, table[["label", *reversed(CLASSES)]])
    np.testing.assert_array_equal(read_published(path, read_test_labels(source)), probabilities(0, 0.9))


def test_labels_may_be_absent_and_probabilities_of_double_precision(source: PublishedSource) -> None:
    path = rewrite(source, published_table(probabilities(0, 0.9)).drop(columns="label").astype("float64"))
    values = read_published(path, read_test_labels(source))
    assert values.dtype == np.float32
    np.testing.assert_array_equal(values, probabilities(0, 0.9))


def test_labels_that_contradict_the_label_file_are_counted(source: PublishedSource) -> None:
    path = rewrite(source, published_table(probabilities(0, 0.9), [["Hernia"], ["Mass"], ["Infiltration"], []]))
    with pytest.raises(UserError, match=r"2 of 4 rows of .* contradict the label file"):
        read_published(path, read_test_labels(source))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda table: table.iloc[:3], "has 3 rows, the label file of the test split 4"),
        (lambda table: table.drop(columns="Hernia"), r"lacks the classes \['Hernia'\]"),
        (lambda table: table.assign(Cyst=0.5), r"columns \['Cyst'\] beside"),
        (lambda table: table.assign(Hernia=[0.5, 1.5, -0.1, np.nan]), "3 of 80 values .* no probabilities"),
        (lambda table: table.assign(Hernia="0.5"), r"columns \['Hernia'\] .* no numbers"),
    ],
    ids=["a row less", "a class less", "a class more", "no probabilities", "words"],
)
def test_a_table_of_something_else_is_refused(change, told: str, source: PublishedSource) -> None:
    path = rewrite(source, change(published_table(probabilities(0, 0.9))))
    with pytest.raises(UserError, match=told):
        read_published(path, read_test_labels(source))


def test_images_that_this_cohort_does_not_test_are_left_out_and_counted(
    source: PublishedSource, split: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    parts = pd.read_parquet(split)
    parts.loc[parts["image_id"] == IDS[0], "split"] = "validate"
    parts.to_parquet(split)
    with caplog.at_level(logging.INFO):
        import_predictions(tmp_path / "out.parquet", source, split, 0, "random")
    assert "1 of 4 published rows" in caplog.text
    assert set(pd.read_parquet(tmp_path / "out.parquet")["image_id"]) == set(IDS[1:])


def test_test_images_that_were_not_published_are_an_error(source: PublishedSource, split: Path, tmp_path: Path) -> None:
    parts = pd.read_parquet(split).assign(split="test")
    parts.to_parquet(split)
    with pytest.raises(UserError, match="1 of the cohort's 5 test images"):
        import_predictions(tmp_path / "out.parquet", source, split, 0, "l1")
    with pytest.raises(UserError, match=r"no predictions of seed 1.*\n.*\[0, 11\]"):
        import_predictions(tmp_path / "out.parquet", source, split, 1, "l1")
    assert not (tmp_path / "out.parquet").exists()


def test_exported_predictions_are_imported_as_they_were(tmp_path: Path) -> None:
    ids = sorted(IDS, reverse=True)
    positive = [POSITIVE[IDS.index(image)] for image in ids]
    manifest = label_table(ids, positive).rename(columns={"id": "image_id"}).sample(frac=1, random_state=0)
    manifest.assign(path="images/" + manifest["image_id"]).to_parquet(tmp_path / "manifest.parquet")
    with write_predictions(tmp_path / "canonical.parquet", CLASSES) as writer:
        for level in LEVELS:
            writer.append("l1" if level else "dense", 4, level, ids, probabilities(4, level))
    folder = tmp_path / "exported"
    export_predictions([tmp_path / "canonical.parquet"], folder, "nih-cxr-lt", tmp_path / "manifest.parquet", "l1")
    for part, image in (("train", "00000101_000.png"), ("val", "00000102_000.png")):
        label_table([image], [["Mass"]]).to_csv(label_file(folder, "nih-cxr-lt", part), index=False)
    source = PublishedSource(folder, folder, "nih-cxr-lt")
    pd.DataFrame({"image_id": ids, "split": "test"}).to_parquet(tmp_path / "split.parquet")
    import_predictions(tmp_path / "imported.parquet", source, tmp_path / "split.parquet", 4, "l1")
    pd.testing.assert_frame_equal(
        pd.read_parquet(tmp_path / "imported.parquet"), pd.read_parquet(tmp_path / "canonical.parquet")
    )


def test_exported_files_are_what_the_published_ones_are(tmp_path: Path) -> None:
    manifest = label_table(IDS, POSITIVE).rename(columns={"id": "image_id"})
    manifest.to_parquet(tmp_path / "manifest.parquet")
    with write_predictions(tmp_path / "canonical.parquet", CLASSES) as writer:
        for level in (0.0, 0.35):
            writer.append("random" if level else "dense", 4, level, IDS, probabilities(4, level))
    folder = tmp_path / "exported"
    export_predictions([tmp_path / "canonical.parquet"], folder, "nih-cxr-lt", tmp_path / "manifest.parquet", "random")
    table = pd.read_pickle(folder / "nih-cxr-lt_resnet50_seed-4_prune-0.35.pkl")
    assert list(table) == [*CLASSES, "label"]
    assert table["label"].to_list() == ["Hernia", "No Finding", "Infiltration|Mass", ""]
    assert (table.dtypes[CLASSES] == "float32").all()
    np.testing.assert_array_equal(table[CLASSES].to_numpy(), probabilities(4, 0.35))
    labels = pd.read_csv(folder / "miccai2023_nih-cxr-lt_labels_test.csv")
    assert list(labels) == ["id", *CLASSES]
    assert labels["id"].to_list() == IDS


def test_the_size_limit_leaves_room_for_the_largest_table_of_every_protocol() -> None:
    rows = 2_000
    table = published_table(probabilities(0, 0.0, rows).astype("float64"), [CLASSES] * rows)
    table["label"] = pd.Series(["|".join(CLASSES) for _ in range(rows)], dtype=object)
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        assert len(pickle.dumps(table, protocol)) < size_limit(rows, CLASSES)
