"""What is said of many files is what is said of each, with fewer questions."""

import os

import pytest

from avsep_lib import folders


@pytest.fixture
def tree(tmp_path):
    """Files in two folders, a link to one of them, a link to nowhere, a linked folder, and names that are not there."""
    paths = []
    for folder, count in (("many", 9), ("few", 2)):
        (tmp_path / folder).mkdir()
        for n in range(count):
            (tmp_path / folder / f"{n}.mp4").touch()
            paths.append(tmp_path / folder / f"{n}.mp4")
    (tmp_path / "many/link.mp4").symlink_to(paths[0])
    (tmp_path / "many/dangling.mp4").symlink_to(tmp_path / "gone")
    (tmp_path / "linked").symlink_to(tmp_path / "many")
    more = ["many/link.mp4", "many/dangling.mp4", "many/none.mp4", "few/none.mp4", "no/where.mp4"]
    more += [f"linked/{n}.mp4" for n in range(9)] + ["many/a\0b.mp4", "few"]
    return [str(path) for path in paths] + [str(tmp_path / name) for name in more]


def test_missing_is_what_does_not_exist(tree):
    assert folders.missing(tree) == {path for path in tree if not os.path.exists(path)}
    assert len(folders.missing(tree)) == 5


def test_real_is_without_links(tree):
    tree = [path for path in tree if "\0" not in path]
    assert folders.real(tree) == {path: os.path.realpath(path) for path in tree}
    assert folders.real(tree)[tree[11]] == tree[0]  # the link


def test_a_folder_is_listed_and_its_files_are_not_asked_for(tree, monkeypatch):
    asked = []
    exists = os.path.exists
    monkeypatch.setattr(os.path, "exists", lambda path: asked.append(path) or exists(path))
    folders.missing(tree[:9])
    assert asked == []
    folders.missing(tree[:1])
    assert asked == tree[:1]
