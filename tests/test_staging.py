import io
import math
from dataclasses import replace

import numpy as np
import pytest
import soundfile
from made_duets import RATE_HZ, made_separation, strip
from PIL import Image

from avsep_lib import media, staging


@pytest.fixture
def made(tmp_path):
    """A duet of a quiet and a loud track, whose left places are the second player's."""
    video = tmp_path / "duet.mp4"
    pictures = np.full((16, 64, 96, 3), 90, np.uint8)
    media.write_video(video, pictures, 8, np.zeros(2 * RATE_HZ, np.float32), RATE_HZ)
    owners = np.zeros((2, 2, 4), np.float32)
    owners[1, :, :2] = owners[0, :, 2:] = 1
    players = [strip("acoustic_guitar", 0.9, 0.0, 0.5), strip("flute", math.nan, 0.5, 1.0)]
    return made_separation(video, players, owners=owners)


def decoded(content, tmp_path):
    path = tmp_path / "sound.m4a"
    path.write_bytes(content)
    info = media.probe(path)
    return media.read_audio(path, info.sample_rate_hz), info


def test_scene_says_whose_each_place_is(made):
    scene = staging.scene(made)
    assert scene["title"] == "duet.mp4" and scene["seconds"] == pytest.approx(2.0)
    assert scene["owners"] == {"rows": 2, "columns": 4, "of": [2, 2, 1, 1, 2, 2, 1, 1]}


def test_silent_places_belong_to_who_is_there(made):
    made.maps.energy[:, 0] = 0
    assert staging.scene(made)["owners"]["of"] == [1, 2, 1, 1, 1, 2, 1, 1]


def test_cast_has_one_gain_and_outlines_on_one_scale(made):
    players, gain = staging.cast(made)
    assert [player["name"] for player in players] == ["acoustic guitar", "flute"]
    assert [player["confidence"] for player in players] == [0.9, None]
    assert max(players[1]["peaks"]) == 1.0 and max(players[0]["peaks"]) == pytest.approx(0.5, abs=0.01)
    assert gain == pytest.approx(staging.PEAK / 0.3, rel=1e-3)  # tracks of 0.1 and 0.2 that swing together


def test_what_no_player_plays_has_no_place(made):
    alone = replace(made, players=made.players[:1])
    rest = staging.cast(alone)[0][1]
    assert rest["name"] == made.tracks[1].stem and rest["part"] == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("rate", "channels", "kept_hz"), [(11_025, 1, 11_025), (44_100, 2, 44_100), (96_000, 1, 48_000)]
)
def test_compressed_sound_is_the_sound(tmp_path, rate, channels, kept_hz):
    tone = 0.2 * np.sin(2 * np.pi * 300 * np.arange(rate) / rate).astype(np.float32)
    media.write_audio(tmp_path / "tone.wav", np.stack([tone] * channels, -1), rate)
    sound, info = decoded(staging.compressed(tmp_path / "tone.wav", 2.0), tmp_path)
    assert (info.sample_rate_hz, info.channels) == (kept_hz, channels)
    expected = 0.4 * np.sin(2 * np.pi * 300 * np.arange(kept_hz) / kept_hz)
    assert len(sound) == pytest.approx(kept_hz, abs=5)
    inner = slice(2000, min(len(sound), kept_hz) - 2000)
    assert np.abs(sound[inner] - expected[inner]).max() < 0.02


def test_surround_becomes_stereo(tmp_path):
    sound = np.zeros((8000, 6), np.float32)
    sound[:, 2] = 0.5 * np.sin(np.arange(8000) / 5)  # the centre is heard on both sides
    media.write_audio(tmp_path / "surround.wav", sound, 8000)
    (block,) = staging._blocks(tmp_path / "surround.wav")
    assert block.shape == (8000, 2) and np.array_equal(block[:, 0], block[:, 1])
    assert np.abs(block).max() == pytest.approx(0.5 * 0.71 / 2.42, rel=0.01)


def test_film_has_pictures_and_no_sound(made, tmp_path):
    path = tmp_path / "film.mp4"
    path.write_bytes(staging.film(made))
    info = media.probe(path)
    assert (info.width_px, info.height_px, info.channels) == (96, 64, 0)
    assert info.duration_s == pytest.approx(2.0, abs=0.1)


def test_picture_is_a_jpeg_of_the_video(made):
    image = Image.open(io.BytesIO(staging.picture(made)))
    assert image.format == "JPEG" and image.size == (96, 64)


def test_silence_needs_no_gain(made):
    for track in made.tracks:
        soundfile.write(track, np.zeros(100, np.float32), RATE_HZ, "FLOAT")
    players, gain = staging.cast(made)
    assert gain == 1.0 and not any(players[0]["peaks"])
