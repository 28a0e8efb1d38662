"""Each player of a video is found, gets their own track and their own places, and a bad video is named."""

import dataclasses
import gc
import itertools
import weakref

import numpy as np
import pytest
import torch

from avsep_lib import clips, duets, media, rendered, spectra
from avsep_lib.duets import Player, Separation, Watched
from avsep_lib.networks import Backbone, FrameClassifier, FrameNet, Separator
from avsep_lib.separators import BaseSeparator
from avsep_lib.settings import StudyError

RATE_HZ = 11_025


@pytest.fixture(scope="module")
def duet(index):
    return clips.choose(index, "test", "duet").iloc[0]


@pytest.fixture(scope="module")
def separator(tiny):
    """Untrained, and with pictures large enough for a grid of five columns."""
    torch.manual_seed(0)
    return Separator(dataclasses.replace(tiny, frame_size_px=96), tiny.instruments).eval()


@pytest.fixture(scope="module")
def separation(separator, duet):
    return duets.separate_video(separator, duet.path)


def wave(seconds=2.0, level=0.3):
    return level * np.sin(np.arange(int(seconds * RATE_HZ)) / 7).astype(np.float32)


def made(path, players, sound_map=None, owner_map=None):
    """A separation by hand, whose tracks lie beside the video."""
    count = len(players)
    tracks = [path.with_name(f"{path.stem}_{n}.wav") for n in range(count)]
    for n, track in enumerate(tracks):
        media.write_audio(track, wave(level=0.1 * (n + 1)), RATE_HZ)
    shape = (2, 4)
    return Separation(
        path,
        players,
        tracks,
        len(wave()),
        np.ones(shape, np.float32) if sound_map is None else sound_map,
        np.full((count, *shape), 1 / count, np.float32) if owner_map is None else owner_map,
        np.zeros((64, 128, 3), np.uint8),
        RATE_HZ,
    )


# A whole video


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
    assert players[0].left == 0 and players[-1].right == 1
    assert all(one.left < one.right == other.left for one, other in itertools.pairwise(players))
    assert all(player.instrument in tiny.instruments and 0 < player.confidence < 1 for player in players)


def test_maps_share_the_picture_out(separation):
    assert separation.owner_map.shape == (2, *separation.sound_map.shape)
    np.testing.assert_allclose(separation.owner_map.sum(0), 1, atol=1e-6)
    assert (separation.owner_map >= 0).all() and (separation.sound_map >= 0).all() and separation.sound_map.max() > 0


def test_named_instruments_may_come_in_any_order(separator, duet, separation):
    names = ["xylophone", "flute"]
    one, other = (duets.separate_video(separator, duet.path, instruments=n) for n in (names, names[::-1]))
    assert one.players == other.players and {player.instrument for player in one.players} == set(names)
    np.testing.assert_array_equal(one.estimates, other.estimates)


def test_a_single_player_has_the_whole_picture(separator, duet):
    alone = duets.separate_video(separator, duet.path, n_players=1)
    assert [(player.left, player.right) for player in alone.players] == [(0, 1)]
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
        media.write_video(path, frames, 8, wave(seconds=0.7), RATE_HZ)
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
        ("short", "0.70 s, shorter than a clip"),
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
    plain = separator.stream

    def failing(*given):
        pieces = plain(*given)
        yield next(pieces)
        raise RuntimeError("out of ideas")

    monkeypatch.setattr(separator, "stream", failing)
    with pytest.raises(RuntimeError, match="out of ideas"):
        duets.separate_video(separator, duet.path, out=tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_pictures_are_let_go_as_they_come(separator, duet, monkeypatch):
    pictures, most, plain = [], [], media.frames_at

    class Picture(np.ndarray):
        """Unlike a plain array, it can be watched."""

    def watched_frames(*given):
        for picture in plain(*given):
            most.append(sum(before() is not None for before in pictures))
            own = picture.copy().view(Picture)
            pictures.append(weakref.ref(own))
            yield own

    many = Separator(dataclasses.replace(separator.settings, feature_fps=4.0), separator.instruments).eval()
    monkeypatch.setattr(media, "frames_at", watched_frames)
    seen = duets.look(many, duet.path)
    assert len(pictures) == len(seen.looks) == 16 and max(most) <= 4


def test_strips_are_named_as_the_classifier_names_a_clip_of_them(separator, duet):
    seen = duets.look(separator, duet.path)
    frames = media.read_frames(duet.path, seen.times_s, separator.settings.frame_size_px)
    with torch.inference_mode():
        features = separator.frame_net.features(torch.from_numpy(frames))
        torch.testing.assert_close(seen.looks, separator.frame_net.pixel_queries(features))
        expected = separator.classifier(features[..., 1:3]).log_softmax(-1)
        torch.testing.assert_close(separator.name(seen.named[..., 1:3]), expected)


def test_a_trained_trunk_does_not_name(tiny, duet):
    """Combined training moves its own trunk; names come from the one that learned them."""
    settings = dataclasses.replace(tiny, backbone="resnet18", pretrained=False)
    separator = Separator(settings, tiny.instruments).eval()
    trunk = Backbone("resnet18", pretrained=False)
    separator.start_from(FrameClassifier(FrameNet(trunk, tiny.channels), len(tiny.instruments)))
    named = duets.look(separator, duet.path).named
    with torch.no_grad():
        separator.frame_net.backbone.body[0].weight.zero_()
    torch.testing.assert_close(duets.look(separator, duet.path).named, named)


def test_an_excerpt_is_the_middle(separation):
    start_s, waves = separation.excerpt(1.0)
    start = round(start_s * separation.sample_rate_hz)
    assert waves.shape == (3, 11_025) and start == (separation.samples - 11_025) // 2
    whole = np.concatenate([separation.mixture[None], separation.estimates])
    np.testing.assert_array_equal(waves, whole[:, start : start + 11_025])
    start_s, waves = separation.excerpt(60.0)
    assert start_s == 0
    np.testing.assert_array_equal(waves, whole)


# Who plays where


NAMES = ["cello", "flute", "tuba"]


def painted(*names, height=2):
    """Queries (K, h, w) of a picture whose columns each show one instrument, or nothing."""
    queries = torch.zeros(len(NAMES), height, len(names))
    for column, name in enumerate(names):
        if name:
            queries[NAMES.index(name), :, column] = 1.0
    return queries


@pytest.fixture
def sees():
    """A separator that reads painted queries."""
    separator = BaseSeparator()
    separator.instruments, separator.name = NAMES, lambda named: (8 * named.amax((-2, -1))).log_softmax(-1)
    return separator


@pytest.mark.parametrize("widths", [(5, 5), (3, 7), (7, 3), (2, 8), (4, 3, 3), (2, 4, 4)])
def test_the_cut_that_names_each_part_best_is_found(sees, widths):
    shown = NAMES[: len(widths)][::-1]
    columns = [name for name, width in zip(shown, widths, strict=True) for _ in range(width)]
    players = duets.find_players(sees, painted(*columns), len(widths))
    assert [player.instrument for player in players] == shown
    edges = np.cumsum((0, *widths)) / 10
    assert [player.left for player in players] == pytest.approx(edges[:-1])
    assert [player.right for player in players] == pytest.approx(edges[1:])
    assert min(player.confidence for player in players) > 0.9


def test_names_are_given_to_the_parts_that_show_them(sees):
    picture = painted(*["flute"] * 4, *["tuba"] * 6)
    right = duets.find_players(sees, picture, 2, ["tuba", "flute"])
    assert [(player.instrument, player.left) for player in right] == [("flute", 0), ("tuba", 0.4)]
    partly = duets.find_players(sees, picture, 2, ["tuba", "cello"])
    assert [player.instrument for player in partly] == ["cello", "tuba"]
    assert partly[0].confidence < 0.1 < 0.9 < partly[1].confidence
    twice = duets.find_players(sees, picture, 1, ["flute", "flute"])
    assert [player.instrument for player in twice] == ["flute", "flute"]


def test_a_picture_that_says_nothing_is_cut_evenly(sees):
    players = duets.find_players(sees, painted(*[None] * 8), 2)
    assert [(player.left, player.right) for player in players] == [(0, 0.5), (0.5, 1)]


def test_the_query_of_a_strip_is_its_maximum_by_hand():
    looks = torch.tensor([[[[1.0, 2, 3, 4]], [[9, 0, 0, 0]]], [[[0, 0, 5, 0]], [[0, 1, 2, 0]]]])  # (P, K, h, w)
    players = [Player("flute", 1.0, 0.0, 0.5), Player("tuba", 1.0, 0.5, 1.0)]
    separator = BaseSeparator()
    assert duets.strip_queries(separator, looks, players).tolist() == [[2, 9], [5, 2]]
    uneven = [Player("flute", 1.0, 0.0, 0.25), Player("tuba", 1.0, 0.25, 1.0)]
    assert duets.strip_queries(separator, looks, uneven).tolist() == [[1, 9], [5, 2]]


# Who sounds where


def watched(looks, tiny, seconds=3.0):
    return Watched(len(wave(seconds)), looks, looks.amax(0), np.arange(len(looks)) + 0.5, tiny)


def test_a_window_looks_at_the_pictures_nearest_to_it(tiny):
    looks = torch.arange(6.0).view(6, 1, 1, 1)
    seen = watched(looks, tiny, 6.0)
    assert tiny.frames_per_clip == 2
    for start_s, nearest in ((0, [0, 1]), (2.2, [2, 3]), (4.5, [4, 5])):
        middle = start_s + tiny.clip_s / 2
        assert sorted(np.argsort(np.abs(seen.times_s - middle))[:2]) == nearest
        assert seen.looks_near(int(start_s * RATE_HZ)).flatten().tolist() == nearest


def test_sound_lies_where_the_places_let_it_pass(tiny):
    """The mask of a query is its first channel, for every bin; only the left half lets sound pass."""
    looks = torch.zeros(3, 1, 2, 4)
    looks[..., :2] = 1.0

    def place_masks(mixture_spec, queries):
        return queries[:, 0, None, None].expand(-1, tiny.log_bins, mixture_spec.shape[-1]), "log"

    players = [Player("flute", 1.0, 0.0, 0.5), Player("tuba", 1.0, 0.5, 1.0)]
    separator = BaseSeparator()
    separator.settings, separator.place_masks = tiny, place_masks
    energy, owners = duets.sound_maps(separator, watched(looks, tiny), players, [wave(3.0)])
    assert energy.shape == (2, 4) and owners.shape == (2, 2, 4)
    assert (energy[:, :2] > 0).all() and (energy[:, 2:] == 0).all()
    np.testing.assert_allclose(energy[:, :2], energy[0, 0], rtol=1e-5)
    np.testing.assert_allclose(owners.sum(0), 1, atol=1e-6)
    assert (owners[0, :, :2] > 0.99).all() and (owners[1, :, 2:] > 0.99).all()


def test_sound_maps_do_not_depend_on_the_blocks_and_equal_those_of_the_linear_axis(separator, duet, separation):
    seen, sound = duets.look(separator, duet.path), separation.mixture
    energy, owners = duets.sound_maps(separator, seen, separation.players, np.array_split(sound, 50))
    np.testing.assert_allclose(energy, separation.sound_map, rtol=1e-4)
    np.testing.assert_allclose(owners, separation.owner_map, atol=1e-4)
    settings, by_hand = separator.settings, []
    for start in range(0, len(sound) - settings.clip_samples + 1, settings.clip_samples):
        spec = spectra.stft(
            torch.from_numpy(sound[start : start + settings.clip_samples]), settings.n_fft, settings.hop
        )
        places = seen.looks_near(start).amax(0).flatten(1).T
        with torch.inference_mode():
            masks = separator.masks(spec[None], places[None], alone=True)[0]
        by_hand.append((masks.square() * spec.abs().square()).mean(dim=(-2, -1)).reshape(energy.shape))
    np.testing.assert_allclose(energy, torch.stack(by_hand).mean(0), rtol=1e-4)


def test_places_get_the_answers_they_ask_for(separator, duet, separation):
    places = [(0.1, 0.2), (0.9, 0.2), (1.0, 1.0)]
    answers = duets.ask_places(separator, duet.path, places)
    assert answers.shape == (3, len(separation.mixture)) and answers.dtype == np.float32
    alone = duets.ask_places(separator, duet.path, places[1:2])
    np.testing.assert_allclose(alone[0], answers[1], atol=1e-6)  # no rivals among places


def test_a_place_is_counted_from_the_upper_left(separator, duet, monkeypatch):
    asked = []
    monkeypatch.setattr(separator, "separate_queries", lambda mixture, queries, alone: asked.append(queries(0)))
    duets.ask_places(separator, duet.path, [(0.0, 0.99), (0.99, 0.0)])
    looks = duets.look(separator, duet.path).looks_near(0).amax(0)
    torch.testing.assert_close(asked[0], torch.stack([looks[:, -1, 0], looks[:, 0, -1]]))


def test_pointing_by_hand(tmp_path):
    sound = np.array([[1.0, 0, 0, 0], [0, 0, 0, 9]])
    owners = np.array([[[0.9, 0.5, 0.5, 0.5], [0.5, 0.5, 0.5, 0.2]], [[0.1, 0.5, 0.5, 0.5], [0.5, 0.5, 0.5, 0.8]]])
    players = [Player("flute", 1.0, 0.0, 0.5), Player("tuba", 1.0, 0.5, 1.0)]
    separation = made(tmp_path / "a.mp4", players, sound, owners)
    left, right = (0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 1.0, 1.0)
    # The loud corner at the lower right wins for both: 0.2 * 9 is more than 0.9 * 1.
    assert duets.points_at(separation, np.array([left, right])) == [False, True]
    assert duets.points_at(separation, np.array([right, (0.5, 0.0, 1.0, 0.5)])) == [True, False]


# Scores


def test_scores_have_a_row_for_each_player_and_method(separator, separation, index, duet):
    told = []
    scores = duets.score_duets(separator, clips.choose(index, "test", "duet"), lambda *words: told.append(words))
    assert set(scores.method) == {"mixture", "separator", "ideal ratio mask"}
    assert scores.groupby("method").size().to_dict() == dict.fromkeys(set(scores.method), 2)
    assert {"mixture", "source", "video_id", "instrument", "found", "pointed", "sdr_db", "sir_db"} <= set(scores)
    own = scores[scores.method == "separator"]
    assert list(own.instrument) == duet.instruments.split("+")
    assert list(own.found) == [player.instrument for player in separation.players]
    assert scores.pointed.isin([True, False]).all() and np.isfinite(scores.sdr_db).all()
    assert told == [("separating duets", 1, 1)]


def test_the_true_tracks_are_those_of_the_players_in_their_order(separator, index, duet, monkeypatch):
    """A separator that returns the truth scores far above the mixture; one that swaps it, far below."""
    tracks, _ = rendered.read_truth(duet.path, separator.sample_rate_hz)
    real = duets.separate_video
    for order, better in ((slice(None), True), (slice(None, None, -1), False)):
        monkeypatch.setattr(
            duets, "separate_video", lambda net, path, order=order: _with(real(net, path), tracks[order])
        )
        means = duets.score_duets(separator, clips.choose(index, kind="duet")).groupby("method").sdr_db.mean()
        assert (means["separator"] > means["mixture"] + 20) is np.bool_(better)
        assert means["ideal ratio mask"] > means["mixture"] + 2


def _with(separation, estimates):
    for track, estimate in zip(separation.tracks, estimates, strict=True):
        media.write_audio(track, estimate, separation.sample_rate_hz)
    return separation


# Files


@pytest.fixture
def grey(tmp_path):
    """A separation by hand of a grey video of two seconds, whose second player has three quarters of it."""
    path = tmp_path / "grey.mp4"
    media.write_video(path, np.full((20, 90, 160, 3), 200, np.uint8), 10, wave(), RATE_HZ)
    return made(path, [Player("flute", 0.9, 0.0, 0.25), Player("flute", 0.8, 0.25, 1.0)])


def test_tracks_are_written_as_they_are(grey, tmp_path):
    paths = duets.write_tracks(grey, tmp_path / "deep/out")
    assert [path.name for path in paths] == ["1_flute.wav", "2_flute.wav"]
    for path, estimate in zip(paths, grey.estimates, strict=True):
        np.testing.assert_array_equal(media.read_audio(path, RATE_HZ), estimate)


def test_videos_have_their_players_sound_and_dim_the_others(grey, tmp_path):
    paths = duets.write_videos(grey, tmp_path / "out", fps=10, height_px=90)
    assert [path.name for path in paths] == ["1_flute.mp4", "2_flute.mp4"]
    for path, player, estimate in zip(paths, grey.players, grey.estimates, strict=True):
        info = media.probe(path)
        assert (info.height_px, info.width_px, info.fps) == (90, 160, 10)
        assert info.duration_s == pytest.approx(2.0, abs=0.1)
        sound = media.read_audio(path, RATE_HZ)
        assert len(sound) == len(estimate)
        assert np.abs(sound - estimate).max() < 0.05 * np.abs(estimate).max() + 0.01
        columns = media.read_frames(path, [0.0, 1.0, 1.9], 90).mean(axis=(0, 1, 3))
        inside = np.zeros(160, bool)
        inside[int(player.left * 160) : int(player.right * 160)] = True
        edge = np.abs(np.arange(160) - 40) < 4
        assert np.abs(columns[inside & ~edge] - 200).max() < 8
        assert np.abs(columns[~inside & ~edge] - 60).max() < 8
