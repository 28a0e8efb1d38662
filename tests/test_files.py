"""What is asked of a disk and of a file before either is used."""

import shutil

import pandas as pd
import pytest

from avsep_lib import files


def test_the_room_of_a_folder_that_is_not_there_is_that_of_the_disk(tmp_path, monkeypatch):
    asked = []
    plain = shutil.disk_usage
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: asked.append(folder) or plain(folder))
    assert files.free_bytes(tmp_path / "not/yet") > 0
    assert asked == [tmp_path] and not (tmp_path / "not").exists()


def test_a_file_that_changes_has_another_state(tmp_path):
    path = tmp_path / "a"
    path.write_text("one")
    before = files.state(path)
    assert before == (3, path.stat().st_mtime_ns) == files.state(str(path))
    path.write_text("three")
    assert files.state(path) != before


@pytest.mark.parametrize("name", ["missing", "a\0b", "x" * 5000])
def test_what_cannot_be_there_has_no_state(tmp_path, name):
    assert files.state(f"{tmp_path}/{name}") is None


def test_a_table_that_is_there_already_is_not_written_again(tmp_path):
    table = pd.DataFrame({"name": ["a\rb", "\udcff"], "number": [1, 2]})
    files.write_csv(table, tmp_path / "t.csv")
    before = (tmp_path / "t.csv").stat().st_mtime_ns
    assert (tmp_path / "t.csv").read_bytes() == b'name,number\n"a\rb",1\n\\udcff,2\n'
    files.write_csv(table, tmp_path / "t.csv")
    assert (tmp_path / "t.csv").stat().st_mtime_ns == before
    files.write_csv(table[:1], tmp_path / "t.csv")
    assert len((tmp_path / "t.csv").read_bytes().splitlines()) == 3


def test_no_terminal_obeys_a_name():
    assert files.printable("flûte a\n\x1b[31m") == "flûte a\\n\\x1b[31m"
