"""Each player of a video is found and gets their own track, and a bad video is named."""

import contextlib
import gc
import itertools
from fractions import Fraction
from types import SimpleNamespace

import av
import numpy as np
import pytest
import soundfile
from made_duets import RATE_HZ, made_separation, strip, wave

from avsep_lib import duets, full_band, media, sound_maps
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
        duets.separate_video(separator, path, 2)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_tracks_are_written_where_they_are_wanted(separator, duet, separation, tmp_path):
    out = tmp_path / "new/out"
    kept = duets.separate_video(separator, duet.path, 2, out=out)
    names = [f"{n}_{player.instrument}.wav" for n, player in enumerate(kept.players, start=1)]
    assert kept.tracks == [out / name for name in names] and sorted(path.name for path in out.iterdir()) == names
    np.testing.assert_array_equal(kept.estimates, separation.estimates)


def test_without_a_folder_the_tracks_go_with_the_separation(separator, duet):
    temporary = duets.separate_video(separator, duet.path, 2)
    folder = temporary.tracks[0].parent
    assert all(track.is_file() for track in temporary.tracks)
    del temporary
    gc.collect()
    assert not folder.exists()


@pytest.mark.parametrize(("rate_hz", "channels"), [(8000, 1), (44_100, 2), (48_000, 6)])
def test_tracks_have_rate_and_channels_of_the_video_and_add_up_to_its_sound(separator, tmp_path, rate_hz, channels):
    path = tmp_path / "any.mkv"
    sound = np.random.default_rng(0).normal(0, 0.1, (round(2.2 * rate_hz), channels))
    coded(path, sound, rate_hz)
    info = media.probe(path)
    assert (info.sample_rate_hz, info.channels) == (rate_hz, channels)
    found = duets.separate_video(separator, path, 2, out=tmp_path / "out")
    heard = np.concatenate(list(media.audio_blocks(path, rate_hz, channels)))
    tracks = [soundfile.read(track, dtype="float32", always_2d=True) for track in found.tracks]
    assert [rate for _, rate in tracks] == [rate_hz] * 2
    assert np.abs(sum(track for track, _ in tracks) - heard).max() < 1e-4


def coded(path, sound, rate_hz):
    """A portrait video of grey pictures, with lossless sound of any layout."""
    layout = {1: "mono", 2: "stereo", 6: "5.1"}[sound.shape[1]]
    with av.open(str(path), "w") as container:
        pictures = container.add_stream("libx264", 8)
        samples = container.add_stream("pcm_s16le", rate_hz, layout=layout)
        pictures.width, pictures.height, pictures.pix_fmt = 64, 128, "yuv420p"
        for number in range(18):
            picture = av.VideoFrame.from_ndarray(np.full((128, 64, 3), 90, np.uint8))
            picture.pts, picture.time_base = number, Fraction(1, 8)
            container.mux(pictures.encode(picture))
        frame = av.AudioFrame.from_ndarray(np.round(sound * 2**15).astype(np.int16).reshape(1, -1), "s16", layout)
        frame.sample_rate, frame.pts, frame.time_base = rate_hz, 0, Fraction(1, rate_hz)
        container.mux(samples.encode(frame))
        for stream in (pictures, samples):
            container.mux(stream.encode(None))


def test_a_single_place_leaves_a_rest(separator, duet, tmp_path):
    asked = duets.separate_video(separator, duet.path, at=(0.9, 0.2), out=tmp_path)
    assert [track.name for track in asked.tracks] == ["1_place.wav", "rest.wav"]
    (place,) = asked.players
    assert place.part == pytest.approx((0.8, 0, 1, 1 / 3), abs=0.2) and place.instrument == duets.PLACE
    rest = media.read_audio(asked.tracks[1], asked.sample_rate_hz)
    np.testing.assert_allclose(asked.estimates[0] + rest, asked.mixture, atol=1e-4)
    answer = sound_maps.ask_places(separator, duet.path, [(0.9, 0.2)])[0]
    assert np.corrcoef(answer, asked.estimates[0])[0, 1] > 0.99
    with pytest.raises(StudyError, match="give --at alone"):
        duets.separate_video(separator, duet.path, 2, at=(0.5, 0.5))
    with pytest.raises(StudyError, match=r"place 1\.5,0 is outside"):
        duets.separate_video(separator, duet.path, at=(1.5, 0.0))


def test_a_short_video_is_filled_up(separator, tmp_path):
    path = tmp_path / "short.mp4"
    media.write_video(path, np.full((8, 90, 160, 3), 90, np.uint8), 8, wave(1.0), RATE_HZ)
    found = duets.separate_video(separator, path, 2)
    assert found.samples == RATE_HZ and found.maps.energy.max() > 0
    np.testing.assert_allclose(found.estimates.sum(0), found.mixture, atol=1e-4)


def test_a_folder_that_cannot_be_is_named(separator, duet, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StudyError, match=r"file: cannot be a folder.*--out"):
        duets.separate_video(separator, duet.path, 2, out=tmp_path / "file")


def test_no_room_for_the_tracks_is_said_before_the_work(separator, duet, tmp_path, monkeypatch):
    monkeypatch.setattr(duets.shutil, "disk_usage", lambda folder: SimpleNamespace(free=1000))
    with pytest.raises(StudyError, match=r"no room for 2 tracks.*--out"):
        duets.separate_video(separator, duet.path, 2, out=tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_a_disk_that_fills_up_keeps_what_it_has(separator, tmp_path, monkeypatch):
    path, plain = tmp_path / "long.mp4", media.audio_writer
    media.write_video(path, np.full((48, 90, 160, 3), 90, np.uint8), 8, wave(6.0), RATE_HZ)

    @contextlib.contextmanager
    def small(*given):
        with plain(*given) as write:
            left = [40_000]

            def limited(samples):
                left[0] -= len(samples)
                if left[0] < 0:
                    raise media.MediaError(f"{given[0]}: cannot be written (No space left on device)")
                write(samples)

            yield limited

    monkeypatch.setattr(media, "audio_writer", small)
    with pytest.warns(UserWarning, match=r"No space left.*end at \d s of 6 s"):
        found = duets.separate_video(separator, path, 2, out=tmp_path / "out")
    assert 0 < found.samples <= 40_000 and all(track.is_file() for track in found.tracks)
    heard = media.read_audio(path, RATE_HZ)[: found.samples]
    np.testing.assert_allclose(found.estimates.sum(0), heard, atol=1e-4)


def test_damage_in_the_middle_is_said_and_the_rest_is_separated(separator, tmp_path):
    path = tmp_path / "broken.mp4"
    media.write_video(path, np.full((48, 90, 160, 3), 90, np.uint8), 8, wave(6.0), RATE_HZ)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle - 2000 : middle + 2000] = np.random.default_rng(0).bytes(4000)
    path.write_bytes(content)
    with pytest.warns(UserWarning, match="damaged"):
        found = duets.separate_video(separator, path, 2)
    assert found.samples == pytest.approx(6 * RATE_HZ, rel=0.05)
    assert np.abs(found.estimates[:, -RATE_HZ:]).max() > 0.01


def test_a_failure_in_the_middle_leaves_no_track(separator, duet, tmp_path, monkeypatch):
    plain = full_band.stream

    def failing(*given, **named):
        pieces = plain(*given, **named)
        yield next(pieces)
        raise RuntimeError("out of ideas")

    monkeypatch.setattr(full_band, "stream", failing)
    with pytest.raises(RuntimeError, match="out of ideas"):
        duets.separate_video(separator, duet.path, 2, out=tmp_path / "out")
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
