import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxrflow.errors import UserError
from cxrflow.files import atomic_array, atomic_path, confined, is_file, write_gzip, write_text


def test_a_failure_while_writing_keeps_the_old_content_and_leaves_no_other_file(tmp_path):
    target = tmp_path / "table.csv"
    write_text(target, "old")
    with pytest.raises(IsADirectoryError), atomic_path(target) as temporary:
        temporary.write_text("half") and tmp_path.read_text()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_files_follow_the_umask(tmp_path):
    old = os.umask(0o077)
    try:
        write_text(tmp_path / "private", "x")
    finally:
        os.umask(old)
    assert (tmp_path / "private").stat().st_mode & 0o777 == 0o600


def test_equal_content_gives_equal_gzip_bytes(tmp_path):
    write_gzip(tmp_path / "a.gz", b"content")
    write_gzip(tmp_path / "b.gz", b"content")
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()


@pytest.mark.parametrize("path", ["../x", "a/../../x", "/etc/passwd", "..", "a\0b"])
def test_paths_that_leave_the_root_are_refused(tmp_path, path):
    with pytest.raises(UserError, match="leads out of"):
        confined(tmp_path, path)


@given(st.lists(st.sampled_from(["a", "b.jpg", "p10"]), min_size=1))
def test_plain_relative_paths_stay_where_they_point(tmp_path_factory, parts):
    root = tmp_path_factory.getbasetemp()
    assert confined(root, "/".join(parts)) == root.joinpath(*parts)


def test_a_folder_of_images_may_be_a_link_to_another_drive(tmp_path):
    (tmp_path / "drive").mkdir()
    (tmp_path / "drive/1.png").write_text("image")
    (tmp_path / "root").mkdir()
    (tmp_path / "root/images").symlink_to(tmp_path / "drive")
    assert confined(tmp_path / "root", "images/1.png").read_text() == "image"


def test_an_array_is_filled_through_memory_and_appears_whole(tmp_path: Path) -> None:
    with atomic_array(tmp_path / "a.npy", np.float16, (3, 2)) as array:
        array[:] = [[1, 2], [3, 4], [5, 6]]
        assert not (tmp_path / "a.npy").exists()
    found = np.load(tmp_path / "a.npy", allow_pickle=False)
    assert found.dtype == np.float16
    assert found.tolist() == [[1, 2], [3, 4], [5, 6]]


def test_an_error_names_no_path_from_the_data_for_it_may_hold_ids(tmp_path):
    with pytest.raises(UserError) as caught:
        confined(tmp_path, "../p10/p10000032/s50414267.txt")
    assert "10000032" not in str(caught.value)


@pytest.mark.parametrize("name", ["absent", "folder", "file/below", "a" * 5000])
def test_what_is_no_plain_file_is_told_from_one(tmp_path, name):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    assert is_file(tmp_path / "file")
    assert not is_file(tmp_path / name)
