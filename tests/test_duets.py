"""Each player of a video is found and gets their own track, and a bad video is named."""

import gc
import itertools

import numpy as np
import pytest
from made_duets import RATE_HZ, made_separation, strip, wave

from avsep_lib import duets, full_band, media
from avsep_lib.settings import StudyError


def test_every_player_gets_a_track_as_long_as_the_video(separation, separator, duet, tiny):
    sound = media.read_audio(duet.path, tiny.sample_rate_hz)
    assert separation.samples == len(sound)
    np.testing.assert_array_equal(separation.mixture, sound)
    assert separation.estimates.shape == (2, len(sound)) and separation.estimates.dtype == np.float32
    assert separation.sample_rate_hz == tiny.sample_rate_hz
    assert separation.frame.shape[0] == separator.settings.frame_size_px and separation.frame.shape[2] == 3


def test_tracks_of_competing_masks_add_up_to_the_mixture(separation, tiny):
    assert tiny.competing
    np.testing.assert_allclose(separation.estimates.sum(0), separation.mixture, atol=1e-4)


def test_players_stand_from_left_to_right_and_cover_the_picture(separation, tiny):
    players = separation.players
    assert players[0].part[0] == 0 and players[-1].part[2] == 1
    assert all(one.part[0] < one.part[2] == other.part[0] for one, other in itertools.pairwise(players))
    assert all(player.instrument in tiny.instruments and 0 < player.confidence < 1 for player in players)


def test_maps_share_the_picture_out(separation):
    assert separation.maps.owners.shape == (2, *separation.maps.energy.shape)
    np.testing.assert_allclose(separation.maps.owners.sum(0), 1, atol=1e-6)
    assert (
        (separation.maps.owners >= 0).all() and (separation.maps.energy >= 0).all() and separation.maps.energy.max() > 0
    )


def test_named_instruments_may_come_in_any_order(separator, duet, separation):
    names = ["xylophone", "flute"]
    one, other = (duets.separate_video(separator, duet.path, instruments=n) for n in (names, names[::-1]))
    assert one.players == other.players and {player.instrument for player in one.players} == set(names)
    np.testing.assert_array_equal(one.estimates, other.estimates)


def test_a_single_player_has_the_whole_picture(separator, duet):
    alone = duets.separate_video(separator, duet.path, n_players=1)
    assert [(player.part[0], player.part[2]) for player in alone.players] == [(0, 1)]
    assert alone.estimates.shape == (1, len(alone.mixture))


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"instruments": ["flute", "kazoo"]}, "'kazoo' is not known.*xylophone"),
        ({"n_players": 3}, "3 players do not fit.*1 to 2"),
        ({"instruments": ["flute", "tuba", "xylophone"]}, "3 players do not fit"),
        ({"n_players": 0}, "0 players"),
    ],
)
def test_what_cannot_be_asked_is_said_in_one_line(separator, duet, asked, words):
    with pytest.raises(StudyError, match=words) as error:
        duets.separate_video(separator, duet.path, **asked)
    assert "\n" not in str(error.value)


def bad_video(kind, path):
    frames = np.zeros((16, 32, 64, 3), np.uint8)
    if kind == "text":
        path.write_text("this is no video\n" * 100)
    elif kind == "mute":
        media.write_video(path, frames, 8, None, RATE_HZ)
    elif kind == "silent":
        media.write_video(path, frames, 8, wave(level=0), RATE_HZ)
    elif kind == "short":
        media.write_video(path, frames, 8, wave(seconds=0.3), RATE_HZ)
    elif kind == "half":
        media.write_video(path, frames, 8, wave(), RATE_HZ)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif kind == "blind":
        media.write_audio(path, wave(), RATE_HZ)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("missing", "does not exist"),
        ("text", "not a media file"),
        ("half", "cut off"),
        ("mute", "no sound"),
        ("silent", "silent"),
        ("short", "0.30 s, shorter than 0.50 s"),
        ("blind", "no picture"),
    ],
)
def test_a_bad_video_is_named_in_one_line(separator, tmp_path, kind, words):
    path = tmp_path / f"{kind}.mp4"
    bad_video(kind, path)
    with pytest.raises(StudyError, match=words) as error:
        duets.separate_video(separator, path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_tracks_are_written_where_they_are_wanted(separator, duet, separation, tmp_path):
    out = tmp_path / "new/out"
    kept = duets.separate_video(separator, duet.path, out=out)
    names = [f"{n}_{player.instrument}.wav" for n, player in enumerate(kept.players, start=1)]
    assert kept.tracks == [out / name for name in names] and sorted(path.name for path in out.iterdir()) == names
    np.testing.assert_array_equal(kept.estimates, separation.estimates)


def test_without_a_folder_the_tracks_go_with_the_separation(separator, duet):
    temporary = duets.separate_video(separator, duet.path)
    folder = temporary.tracks[0].parent
    assert all(track.is_file() for track in temporary.tracks)
    del temporary
    gc.collect()
    assert not folder.exists()


def test_a_failure_in_the_middle_leaves_no_track(separator, duet, tmp_path, monkeypatch):
    plain = full_band.stream

    def failing(*given, **named):
        pieces = plain(*given, **named)
        yield next(pieces)
        raise RuntimeError("out of ideas")

    monkeypatch.setattr(full_band, "stream", failing)
    with pytest.raises(RuntimeError, match="out of ideas"):
        duets.separate_video(separator, duet.path, out=tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_an_excerpt_is_the_middle(separation):
    start_s, waves = separation.excerpt(1.0)
    start = round(start_s * separation.sample_rate_hz)
    assert waves.shape == (3, 11_025) and start == (separation.samples - 11_025) // 2
    whole = np.concatenate([separation.mixture[None], separation.estimates])
    np.testing.assert_array_equal(waves, whole[:, start : start + 11_025])
    start_s, waves = separation.excerpt(60.0)
    assert start_s == 0
    np.testing.assert_array_equal(waves, whole)


@pytest.fixture
def grey(tmp_path):
    """A separation by hand of a grey video of two seconds, whose second player has three quarters of it."""
    path = tmp_path / "grey.mp4"
    media.write_video(path, np.full((20, 90, 160, 3), 200, np.uint8), 10, wave(), RATE_HZ)
    return made_separation(path, [strip("flute", 0.9, 0.0, 0.25), strip("flute", 0.8, 0.25, 1.0)])


def test_tracks_are_written_as_they_are(grey, tmp_path):
    paths = duets.write_tracks(grey, tmp_path / "deep/out")
    assert [path.name for path in paths] == ["1_flute.wav", "2_flute.wav"]
    for path, estimate in zip(paths, grey.estimates, strict=True):
        np.testing.assert_array_equal(media.read_audio(path, RATE_HZ), estimate)
