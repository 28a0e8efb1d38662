"""A fingerprint stays when sound or pictures are changed as a new upload changes them, and differs between videos."""

import numpy as np
import pytest

from avsep_lib import fingerprints, media
from avsep_lib.fingerprints import MIRRORED, SAMPLE_RATE_HZ, of_pictures, of_sound, of_video, of_videos


def melody(seed, length_s=6.0):
    """Decaying tones at random times and pitches."""
    rng = np.random.default_rng(seed)
    times_s = np.arange(round(length_s * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    wave = np.zeros(len(times_s), np.float32)
    for start_s in np.arange(0, length_s, 0.25) + rng.uniform(0, 0.1, round(length_s * 4)):
        after_s = np.clip(times_s - start_s, 0, None)
        pitch_hz = 110 * 2 ** (rng.integers(0, 36) / 12)
        tones = sum(np.sin(2 * np.pi * pitch_hz * k * after_s) / k for k in range(1, 5))
        wave += 0.05 * tones * np.exp(-5 * after_s) * (after_s > 0)
    return wave


def picture(seed, height=48, width=64):
    """A smooth picture."""
    rows, columns = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    rng = np.random.default_rng(seed)
    waves = [rng.normal() * np.cos(np.pi * (u * rows + v * columns + rng.uniform(0, 2)))
             for u in range(5) for v in range(5)]  # fmt: skip
    luma = np.clip(128 + 20 * sum(waves), 0, 255)
    return np.repeat(luma[..., None], 3, axis=2).astype(np.uint8)


def shared(one, other):
    """Share of the marks' values that both have."""
    return np.isin(one[:, 0], other[:, 0]).mean()


def test_marks_know_no_gain():
    wave = melody(0)
    assert np.array_equal(of_sound(wave), of_sound(0.01 * wave))


def test_a_cut_by_whole_steps_moves_the_marks():
    wave, cut = melody(0), 40
    marks, later = of_sound(wave), of_sound(wave[cut * fingerprints.STEP :])
    moved = {(value, step - cut) for value, step in marks.tolist()}
    inside = [tuple(mark) for mark in later.tolist() if mark[1] > 30]  # the window of the first ones was cut
    assert len(inside) > 50
    assert np.mean([mark in moved for mark in inside]) > 0.9


def test_noise_and_a_cut_between_two_steps_leave_many_marks():
    wave = melody(0)
    noisy = wave[1000:] + 0.002 * np.random.default_rng(0).standard_normal(len(wave) - 1000).astype(np.float32)
    assert shared(of_sound(noisy), of_sound(wave)) > 0.2
    assert shared(of_sound(melody(1)), of_sound(wave)) < 0.05


def test_silence_and_too_little_sound_have_no_marks():
    for wave in (np.zeros(30_000, np.float32), melody(0)[:900], np.zeros(0, np.float32)):
        assert of_sound(wave).shape == (0, 2)


def test_a_picture_is_known_at_any_size_and_brightness():
    (one,), (small,) = of_pictures([picture(0)]), of_pictures([picture(0, 240, 180)])
    (dark,) = of_pictures([(0.5 * picture(0)).astype(np.uint8)])
    assert np.bitwise_count(one ^ small) <= 6 and np.bitwise_count(one ^ dark) <= 3
    (other,) = of_pictures([picture(1)])
    assert np.bitwise_count(one ^ other) > 15


def test_a_mirrored_picture_turns_the_bits_of_odd_columns():
    (one,), (turned,) = of_pictures([picture(0)]), of_pictures([picture(0)[:, ::-1]])
    assert np.bitwise_count(one ^ turned ^ MIRRORED) <= 1
    assert np.bitwise_count(one ^ turned) > 20


def test_repeated_and_blank_pictures_are_left_out():
    blank = np.full((40, 40, 3), 90, np.uint8)
    assert len(of_pictures([picture(0), picture(0), blank, picture(1), picture(0)])) == 2
    assert of_pictures([blank]).shape == (0,)


def test_a_video_is_known_by_its_sound_and_pictures(tmp_path):
    media.write_video(tmp_path / "a.mp4", [picture(0)] * 24, 8, melody(0, 3), SAMPLE_RATE_HZ)
    taken = of_video(tmp_path / "a.mp4")
    assert shared(taken.marks, of_sound(melody(0, 3))) > 0.3
    assert len(taken.pictures) == 1 and np.bitwise_count(taken.pictures ^ of_pictures([picture(0)])) <= 4


def test_what_cannot_be_read_has_an_empty_fingerprint(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"no film")
    for path in (tmp_path / "a.mp4", tmp_path / "gone.mp4"):
        taken = of_video(path)
        assert not len(taken.marks) and not len(taken.pictures)


def test_of_a_long_video_the_beginning_counts(tmp_path, monkeypatch):
    media.write_video(tmp_path / "a.mp4", [picture(0)] * 16 + [picture(1)] * 32, 8, melody(0), SAMPLE_RATE_HZ)
    monkeypatch.setattr(fingerprints, "LONGEST_S", 2.0)
    taken = of_video(tmp_path / "a.mp4")
    assert len(taken.pictures) == 1
    assert taken.marks[:, 1].max() * fingerprints.STEP < 2.0 * SAMPLE_RATE_HZ


def test_kept_fingerprints_are_believed_until_the_file_changes(tmp_path, monkeypatch):
    video, kept = tmp_path / "a.mp4", tmp_path / "kept"
    media.write_video(video, [picture(0)] * 16, 8, melody(0, 2), SAMPLE_RATE_HZ)
    (first,) = of_videos([video], kept=kept)
    real, asked = of_video, []
    monkeypatch.setattr(fingerprints, "of_video", lambda *paths: asked.append(paths) or real(*paths))
    (again,) = of_videos([video], kept=kept)
    assert not asked and np.array_equal(again.marks, first.marks) and np.array_equal(again.pictures, first.pictures)
    media.write_video(video, [picture(1)] * 16, 8, melody(1, 2), SAMPLE_RATE_HZ)
    (new,) = of_videos([video], kept=kept)
    assert len(asked) == 1 and not np.array_equal(new.pictures, first.pictures)
    (file,) = [path for path in kept.iterdir() if np.array_equal(np.load(path)["pictures"], new.pictures)]
    file.write_bytes(file.read_bytes()[:40])  # cut off: taken again
    (mended,) = of_videos([video], kept=kept)
    assert len(asked) == 2 and np.array_equal(mended.marks, new.marks)


def test_progress_is_told(tmp_path):
    told = []
    of_videos([tmp_path / "gone.mp4"] * 2, progress=lambda *said: told.append(said))
    assert told == [("taking fingerprints", 1, 2), ("taking fingerprints", 2, 2)]


@pytest.mark.parametrize("side", [7, 32, 45, 200])
def test_averages_of_a_side_are_means_of_its_parts(side):
    rows = fingerprints._averages(side)
    assert rows.shape == (32, side)
    np.testing.assert_allclose(rows.sum(1), 1)
    np.testing.assert_allclose(rows.sum(0), 32 / side)
