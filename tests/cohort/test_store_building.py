import fcntl
import hashlib
import io
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cxrflow.cohort import store_building as module
from cxrflow.cohort.decoding import decode
from cxrflow.cohort.quarantine import Quarantine
from cxrflow.cohort.store import ImageStore
from cxrflow.cohort.store_building import build_store
from cxrflow.errors import UserError


def with_images(folder, count):
    random = np.random.default_rng(0)
    for row in range(count):
        Image.fromarray(random.integers(0, 256, (48, 36), dtype=np.uint8)).save(folder / f"{row}.png")
    return pd.DataFrame(
        {
            "image_id": [chr(ord("a") + row) for row in range(count)],
            "path": [f"{row}.png" for row in range(count)],
            "height": 48,
            "width": 36,
        }
    )


@pytest.fixture
def manifest(tmp_path):
    return with_images(tmp_path, 5)


@pytest.fixture
def decoded(monkeypatch):
    """The contents that were decoded, in the order of the calls."""
    seen = []

    def counting(content, size, window):
        seen.append(content)
        return decode(content, size, window)

    monkeypatch.setattr(module, "decode", counting)
    return seen


def build(manifest, tmp_path, workers=2, **options):
    refused = Quarantine("test")
    build_store(manifest, tmp_path, 12, tmp_path / "images_12.npy", workers, refused, **options)
    return ImageStore.open(tmp_path / "images_12.npy", tmp_path / "images_12.parquet"), refused


def files(folder):
    return {name: (folder / name).read_bytes() for name in ("images_12.npy", "images_12.parquet", "images_12.sha256")}


def interrupt(manifest, tmp_path, **options):
    """Build, and fail before the store takes its name."""

    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(manifest, tmp_path, accept=stop, **options)


def partial(folder):
    return folder / ".images_12.partial.npy"


def journal(folder):
    return folder / ".images_12.partial.jsonl"


def test_rows_follow_the_asked_order(manifest, tmp_path):
    store, refused = build(manifest, tmp_path)
    assert store.images.shape == (5, 12, 12)
    assert store.images.dtype == np.uint8
    rows = store.rows(["d", "a"])
    assert np.array_equal(store.images[rows[0]], decode(tmp_path / "3.png", 12))
    assert np.array_equal(store.images[rows[1]], decode(tmp_path / "0.png", 12))
    assert not refused.rows


def test_the_index_tells_each_file(manifest, tmp_path):
    store, _ = build(manifest, tmp_path)
    contents = [(tmp_path / path).read_bytes() for path in manifest["path"]]
    assert store.index["sha256"].tolist() == [hashlib.sha256(content).hexdigest() for content in contents]
    assert store.index["source_bytes"].tolist() == [len(content) for content in contents]


def test_the_file_is_a_plain_array_with_its_checksum(manifest, tmp_path):
    store, _ = build(manifest, tmp_path)
    buffer = io.BytesIO()
    np.save(buffer, np.array(store.images))
    assert (tmp_path / "images_12.npy").read_bytes() == buffer.getvalue()
    checksum = hashlib.sha256(buffer.getvalue()).hexdigest()
    assert (tmp_path / "images_12.sha256").read_text() == f"{checksum}  images_12.npy\n"
    assert not partial(tmp_path).exists()
    assert not journal(tmp_path).exists()


@pytest.mark.parametrize(("workers", "shard_images"), [(1, None), (4, 1), (3, 2), (1, 5), (2, 4)])
def test_the_bytes_depend_neither_on_workers_nor_on_shards(manifest, tmp_path, workers, shard_images):
    build(manifest, tmp_path)
    first = files(tmp_path)
    build(manifest, tmp_path, workers=workers, shard_images=shard_images)
    assert files(tmp_path) == first


def test_a_truncated_file_is_refused_and_the_others_are_kept(manifest, tmp_path):
    whole = (tmp_path / "2.png").read_bytes()
    (tmp_path / "2.png").write_bytes(whole[: len(whole) // 2])
    store, refused = build(manifest, tmp_path)
    assert [row for _, row, _, _ in refused.rows] == ["c"]
    assert store.index["image_id"].tolist() == list("abde")
    assert not store.images[2].any()
    assert np.array_equal(store.images[store.rows(["e"])[0]], decode(tmp_path / "4.png", 12))
    with pytest.raises(UserError, match="not in the store"):
        store.rows(["c"])


def test_every_refusal_says_why(manifest, tmp_path):
    Image.new("1", (8_001, 8_000)).save(tmp_path / "1.png")
    Image.new("L", (30, 30), 7).save(tmp_path / "2.png")
    (tmp_path / "3.png").write_text("text")
    (tmp_path / "4.png").unlink()
    _, refused = build(manifest, tmp_path)
    reasons = {row: reason for _, row, _, reason in refused.rows}
    assert list(reasons) == list("bcde")
    for row, reason in {"b": "64,000,000 pixels", "c": "flat", "d": "not a JPEG", "e": "missing"}.items():
        assert reason in reasons[row]


def test_a_path_out_of_the_root_ends_the_build(manifest, tmp_path):
    manifest.loc[3, "path"] = "../outside.png"
    with pytest.raises(UserError, match="leads out"):
        build(manifest, tmp_path)


def test_a_failing_disk_ends_the_build_without_telling_the_path(manifest, tmp_path):
    manifest.loc[3, "path"] = "p" * 300 + ".png"  # longer than a name may be: an error of the file system
    with pytest.raises(UserError, match="can't be read: File name too long") as raised:
        build(manifest, tmp_path)
    assert "pppp" not in str(raised.value)


def test_each_file_is_decoded_once_and_an_interrupted_build_decodes_none_again(manifest, tmp_path, decoded):
    interrupt(manifest, tmp_path, shard_images=2)
    assert sorted(decoded) == sorted((tmp_path / path).read_bytes() for path in manifest["path"])
    assert not (tmp_path / "images_12.npy").exists()
    decoded.clear()
    build(manifest, tmp_path, shard_images=2)
    assert not decoded


def test_refusals_survive_an_interruption(manifest, tmp_path):
    (tmp_path / "2.png").write_bytes(b"text")
    _, at_once = build(manifest, tmp_path, shard_images=2)
    undisturbed = files(tmp_path)
    (tmp_path / "images_12.npy").unlink()
    interrupt(manifest, tmp_path, shard_images=2)
    _, resumed = build(manifest, tmp_path, shard_images=2)
    assert resumed.rows == at_once.rows
    assert files(tmp_path) == undisturbed


@pytest.mark.parametrize("place", [200, 500, -1])
def test_a_damaged_shard_is_decoded_again(manifest, tmp_path, decoded, place):
    build(manifest, tmp_path, shard_images=1)
    undisturbed = files(tmp_path)
    interrupt(manifest, tmp_path, shard_images=1)
    content = bytearray(partial(tmp_path).read_bytes())
    content[place] ^= 1
    partial(tmp_path).write_bytes(content)
    decoded.clear()
    build(manifest, tmp_path, shard_images=1)
    assert len(decoded) == 1
    assert files(tmp_path) == undisturbed


@pytest.mark.parametrize("kept", [0.0, 0.2, 0.5, 0.8, 0.99])
def test_a_cut_journal_costs_the_shards_that_it_lost(manifest, tmp_path, decoded, kept):
    build(manifest, tmp_path, shard_images=1)
    undisturbed = files(tmp_path)
    interrupt(manifest, tmp_path, shard_images=1)
    content = journal(tmp_path).read_bytes()[: int(kept * journal(tmp_path).stat().st_size)]
    journal(tmp_path).write_bytes(content)
    whole_shards = max(content.count(b"\n") - 1, 0)  # the first line tells the plan
    decoded.clear()
    interrupt(manifest, tmp_path, shard_images=1)
    assert len(decoded) == 5 - whole_shards
    decoded.clear()
    build(manifest, tmp_path, shard_images=1)  # what was noted after the cut line counts
    assert not decoded
    assert files(tmp_path) == undisturbed


def test_a_garbled_line_costs_its_shard_alone(manifest, tmp_path, decoded):
    interrupt(manifest, tmp_path, shard_images=1)
    lines = journal(tmp_path).read_bytes().splitlines(keepends=True)
    lines[2] = lines[2].replace(b'"start": 1', b'"start": 0')
    journal(tmp_path).write_bytes(b"".join(lines))
    decoded.clear()
    build(manifest, tmp_path, shard_images=1)
    assert decoded == [(tmp_path / "1.png").read_bytes()]


@pytest.mark.parametrize("change", ["ids", "order", "fewer", "rule", "shards"])
def test_another_plan_starts_anew(manifest, tmp_path, decoded, monkeypatch, change):
    interrupt(manifest, tmp_path, shard_images=2)
    shard_images = 2
    if change == "ids":
        manifest.loc[0, "image_id"] = "z"
    elif change == "order":
        manifest = manifest.iloc[::-1]
    elif change == "fewer":
        manifest = manifest.iloc[:4]
    elif change == "rule":
        monkeypatch.setattr("cxrflow.cohort.shards.decoding_rule", lambda: "another")
    else:
        shard_images = 3
    decoded.clear()
    store, _ = build(manifest, tmp_path, shard_images=shard_images)
    assert len(decoded) == len(manifest)
    assert [row.tolist() for row in store.images] == [decode(tmp_path / p, 12).tolist() for p in manifest["path"]]


def test_a_mended_file_costs_its_shard_alone(manifest, tmp_path, decoded):
    whole = (tmp_path / "2.png").read_bytes()
    (tmp_path / "2.png").write_bytes(b"text")
    (tmp_path / "4.png").rename(tmp_path / "elsewhere.png")
    interrupt(manifest, tmp_path, shard_images=1)
    (tmp_path / "2.png").write_bytes(whole)
    (tmp_path / "elsewhere.png").rename(tmp_path / "4.png")
    decoded.clear()
    store, refused = build(manifest, tmp_path, shard_images=1)
    assert len(decoded) == 2
    assert not refused.rows
    assert np.array_equal(store.images[2], decode(tmp_path / "2.png", 12))


def test_too_many_refusals_cost_no_second_decoding(manifest, tmp_path, decoded):
    (tmp_path / "2.png").write_bytes(b"text")
    refused = Quarantine("test")

    def accept(tolerated):
        refused.settle(tmp_path / "refused.csv", 5, "quarantine", tolerated)

    with pytest.raises(UserError, match="tolerated share"):
        build_store(manifest, tmp_path, 12, tmp_path / "images_12.npy", 2, refused, lambda: accept(0.0))
    assert not (tmp_path / "images_12.npy").exists()
    decoded.clear()
    refused.rows.clear()
    build_store(manifest, tmp_path, 12, tmp_path / "images_12.npy", 2, refused, lambda: accept(0.2))
    assert not decoded
    assert (tmp_path / "images_12.npy").exists()


def test_two_processes_do_not_build_one_store(manifest, tmp_path):
    with partial(tmp_path).open("wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="Another process"):
            build(manifest, tmp_path)
    build(manifest, tmp_path)


def test_a_full_disk_is_told_before_anything_is_decoded(manifest, tmp_path, decoded, monkeypatch):
    usage = type(module.__name__, (), {"free": 5 * 144 - 1})
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    with pytest.raises(UserError, match="free some space"):
        build(manifest, tmp_path)
    assert not decoded


# Builds the store of the folder in argv[1], notes each decoding in a file, and hangs at the images from row argv[2] on.
CHILD = """if True:
    import os, sys, time
    from pathlib import Path
    import pandas as pd
    from cxrflow.cohort import store_building
    from cxrflow.cohort.quarantine import Quarantine
    folder, decode = Path(sys.argv[1]), store_building.decode
    manifest = pd.read_csv(folder / "manifest.csv")
    rows = {(folder / path).read_bytes(): row for row, path in enumerate(manifest["path"])}
    assert len(rows) == len(manifest)
    log = os.open(folder / "decoded", os.O_RDWR | os.O_CREAT | os.O_APPEND)
    def noted(content, size, window):
        os.write(log, b".")
        if rows[content] >= int(sys.argv[2]):
            time.sleep(100)
        return decode(content, size, window)
    store_building.decode = noted
    store_building.build_store(
        manifest, folder, 12, folder / "images_12.npy", 2, Quarantine("test"), shard_images=4
    )
"""


@pytest.mark.parametrize("finished", [0, 1, 4])
def test_a_killed_build_goes_on_from_its_last_shard(root, tmp_path, finished):
    manifest = with_images(tmp_path, 24)
    build(manifest, tmp_path)
    undisturbed = files(tmp_path)
    for name in undisturbed:
        (tmp_path / name).unlink()
    manifest.to_csv(tmp_path / "manifest.csv", index=False)
    environment = {**os.environ, "PYTHONPATH": str(root / "scripts")}

    def child(decodings):
        return subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path), str(decodings)], env=environment)

    def noted():
        lines = journal(tmp_path).read_bytes().count(b"\n") if journal(tmp_path).exists() else 0
        return lines - 1, (tmp_path / "decoded").stat().st_size if lines else 0  # the first line tells the plan

    process, deadline = child(4 * finished + 2), time.monotonic() + 60
    try:
        while noted() != (finished, 4 * finished + 4):  # two of the next shard are done, two workers hang
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not set(undisturbed) & {path.name for path in tmp_path.iterdir()}
    (tmp_path / "decoded").unlink()
    assert child(1000).wait() == 0
    assert (tmp_path / "decoded").stat().st_size == 24 - 4 * finished
    assert files(tmp_path) == undisturbed
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]
