import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
from made_duets import RATE_HZ, made_separation, strip
from PIL import Image

from avsep_lib import films, media, report


@pytest.fixture
def made(tmp_path):
    """A duet whose name looks like markup, in a folder with blanks."""
    folder = tmp_path / "a folder"
    folder.mkdir()
    video = folder / "<b>duet & co.mp4"
    pictures = np.full((16, 64, 96, 3), 90, np.uint8)
    media.write_video(video, pictures, 8, np.zeros(2 * RATE_HZ, np.float32), RATE_HZ)
    return made_separation(video, [strip("cello", 0.912, 0.0, 0.5), strip("flute", 0.8, 0.5, 1.0)])


@pytest.fixture
def written(made):
    """The page with films and a figure, as text."""
    folder = made.path.parent
    figure = folder / "figure.png"
    Image.new("RGB", (8, 8)).save(figure)
    videos = films.write_videos(made, folder)
    path = report.write_report(made, folder, videos, {"Who plays": figure}, ["mind the <gap>"], {"Checkpoint": "ours"})
    assert path == folder / "report.html"
    return path.read_text()


def given(page):
    """What the stage of a page is given."""
    return json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL).group(1))


def test_page_needs_no_other_file(written):
    addresses = re.findall(r'(?:src|href)="([^"]*)"', written)
    assert addresses and all(address.startswith("data:") for address in addresses)
    assert "http" not in re.sub(r"data:[^\"]*", "", written)
    data = given(written)
    assert all(player["track"]["base64"] for player in data["players"]) and data["film"]["base64"]


def test_page_says_what_was_found(written):
    for text in ("1 cello", "2 flute", "91%", "50% to 100% from the left", "Who plays", "ours"):
        assert text in written


def test_names_and_notes_are_text(written):
    assert "<b>" not in re.sub(r"<script.*", "", written, flags=re.DOTALL)
    assert "mind the &lt;gap&gt;" in written
    assert given(written)["title"] == "<b>duet & co.mp4"


def test_what_no_player_plays_is_in_the_table(made):
    alone = replace(made, players=made.players[:1])
    page = report.write_report(alone, made.path.parent).read_text()
    assert "all other sound" in page and page.count("<tr>") == 3


def test_page_tells_no_paths(written, made):
    assert str(made.path.parent) not in written


def test_what_is_too_large_lies_beside_the_page(made, monkeypatch):
    monkeypatch.setattr(report, "LARGEST_PAGE", 1000)
    folder = made.path.parent
    videos = films.write_videos(made, folder)
    path = report.write_report(made, folder, videos)
    page, data = path.read_text(), given(path.read_text())
    assert "files beside it" in page
    for source in [data["film"], *(player["track"] for player in data["players"])]:
        assert (folder / source["href"]).stat().st_size > 0
    assert f'src="{videos[0].name}' in page


def test_large_films_leave_the_stage_in_the_page(made, monkeypatch):
    folder = made.path.parent
    videos = films.write_videos(made, folder)
    whole = report.write_report(made, folder, videos).stat().st_size
    monkeypatch.setattr(report, "LARGEST_PAGE", whole // 2)
    with videos[0].open("ab") as film:
        film.write(bytes(whole))
    path = report.write_report(made, folder, videos)
    page, data = path.read_text(), given(path.read_text())
    assert "its films are not in this page" in page and f'src="{videos[0].name}' in page
    assert data["film"]["base64"] and not (folder / report.BESIDE).exists()


def test_a_page_is_written_whole_or_not_at_all(made):
    shutil.rmtree(made.path.parent, ignore_errors=True)
    with pytest.raises((media.MediaError, OSError, RuntimeError)):
        report.write_report(made, made.path.parent)
    assert not (made.path.parent / "report.html").exists()
