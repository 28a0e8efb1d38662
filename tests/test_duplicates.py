"""The same video is found coded again, cut, quiet, mirrored or small; other videos of the same instrument are not."""

import numpy as np
import pytest

from avsep_lib import duplicates, media
from avsep_lib.fingerprints import MIRRORED, Fingerprint, of_videos

FPS = 8


def changed(path, target, turned=False, start=0, gain=1.0, height_px=0):
    """A video coded anew, as another upload of it would be."""
    length_s = media.probe(path).duration_s
    times_s = np.arange(start, int(length_s * FPS)) / FPS + 0.5 / FPS
    frames = list(media.frames_at(path, times_s, height_px or media.probe(path).height_px))
    wave = media.read_audio(path, 22_050)[round(start / FPS * 22_050) + 300 * bool(start) :]
    media.write_video(target, [frame[:, ::-1] if turned else frame for frame in frames], FPS, gain * wave, 22_050)
    return target


@pytest.fixture(scope="module")
def copies(index, tmp_path_factory):
    """Videos of the tiny set, and changed ones of the first four solos."""
    folder = tmp_path_factory.mktemp("copies")
    ways = {"again": {}, "quiet": {"gain": 0.1}, "mirrored": {"turned": True}, "small": {"height_px": 56},
            "cut": {"start": 7}}  # fmt: skip
    paths = list(index.path)
    solos = [path for path in paths if "train" in path][::2]
    made = [(path, changed(path, folder / f"{way}-{n}.mp4", **how))
            for n, path in enumerate(solos) for way, how in ways.items()]  # fmt: skip
    return paths + [target for _, target in made], {target: path for path, target in made}


def test_changed_videos_are_found_and_others_are_not(copies):
    paths, original = copies
    found = duplicates.find(of_videos(paths))
    for by in ("sound", "picture"):
        rows = found[found.by == by]
        pairs = {(paths[i], paths[j]) for i, j in zip(rows["first"], rows["second"], strict=True)}
        strangers = {pair for pair in pairs if original.get(pair[0], pair[0]) != original.get(pair[1], pair[1])}
        assert not strangers
        missed = {target for target, path in original.items() if (path, target) not in pairs}
        assert len(missed) <= (1 if by == "sound" else 0), missed  # four seconds have few notes
    assert found.share.between(0, 1).all() and (found["first"] < found["second"]).all()


def marks(values, start=0):
    """Marks at steps 0, 10, 20, ..."""
    return np.stack([np.array(values), start + 10 * np.arange(len(values))], axis=1)


def test_marks_count_only_at_one_delay():
    one = Fingerprint(marks(range(100)))
    cut = Fingerprint(marks(range(40, 60), start=7))
    mixed = Fingerprint(marks(np.random.default_rng(0).permutation(100)))
    other = Fingerprint(marks(range(1000, 1100)))
    found = duplicates.find([one, other, cut, mixed], pictures=False)
    assert found.values.tolist() == [[0, 2, "sound", 1.0]]


def test_too_few_marks_are_chance():
    one, few = Fingerprint(marks(range(100))), Fingerprint(marks(range(duplicates.LEAST_MARKS - 1)))
    assert duplicates.by_sound([one, few]).empty
    long = Fingerprint(marks([*range(8), *range(10_000, 11_000)]))
    assert duplicates.by_sound([one, long]).share.tolist() == [0.08]
    assert duplicates.by_sound([Fingerprint(marks([*range(8), *range(5000, 6000)])), long]).empty


def test_marks_beside_each_other_agree():
    one = marks(range(50))
    jittered = one + np.stack([np.zeros(50, int), np.arange(50) % 2], axis=1)
    (share,) = duplicates.by_sound([Fingerprint(one), Fingerprint(jittered)]).share
    assert share == 1


def test_pictures_may_differ_by_some_bits_and_be_mirrored():
    rng = np.random.default_rng(0)
    seen = rng.integers(0, 2**63, 8, dtype=np.uint64)
    near = seen ^ np.uint64(0b1001 << 20)
    half = np.concatenate([seen[:4], rng.integers(0, 2**63, 4, dtype=np.uint64)])
    less = np.concatenate([seen[:3], rng.integers(0, 2**63, 5, dtype=np.uint64)])
    prints = [Fingerprint(pictures=each) for each in (seen, near, seen ^ MIRRORED, half, less)]
    found = duplicates.by_pictures(prints)
    pairs = {(i, j): share for i, j, _, share in found.itertuples(index=False)}
    assert pairs == {(0, 1): 1, (0, 2): 1, (1, 2): 1, (0, 3): 0.5, (1, 3): 0.5, (2, 3): 0.5}
    few = [Fingerprint(pictures=seen[:2]), Fingerprint(pictures=seen)]
    assert duplicates.by_pictures(few).share.tolist() == [1]  # of the video that has fewer


def test_what_thousands_share_is_not_compared_pair_by_pair():
    same = [Fingerprint(marks(range(8)), np.array([5], np.uint64)) for _ in range(300)]
    found = duplicates.find(same)
    assert 0 < len(found) < 2 * 300 * 80  # of 2 * 44,850 pairs, and each of the videos is in one
    for by in ("sound", "picture"):
        rows = found[found.by == by]
        assert set(rows["first"]) | set(rows["second"]) == set(range(300))


def test_nothing_has_no_duplicates():
    for prints in ([], [Fingerprint()], [Fingerprint(), Fingerprint()]):
        found = duplicates.find(prints)
        assert found.empty and list(found) == ["first", "second", "by", "share"]
