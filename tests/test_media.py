"""Sound and frames come out as they went in, in time, and a bad file is named in one line."""

import warnings
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from PIL import Image

from avsep_lib import decoding, media
from avsep_lib.media import (
    MediaError,
    audio_blocks,
    audio_writer,
    frames_at,
    planes_at,
    probe,
    read_audio,
    read_frames,
    video_writer,
    write_audio,
    write_video,
)


def grey(count, height=48, width=64):
    """Frames whose level is their number."""
    return [np.full((height, width, 3), i, np.uint8) for i in range(count)]


def chirp(rate, seconds):
    t = np.arange(round(rate * seconds)) / rate
    return (0.4 * np.sin(2 * np.pi * (100 * t + (0.2 * rate - 50) * t**2 / seconds))).astype(np.float32)


def lag_and_snr(reference, heard):
    n = min(len(reference), len(heard))
    spectrum = np.fft.rfft(heard[:n], 2 * n) * np.conj(np.fft.rfft(reference[:n], 2 * n))
    lag = int(np.argmax(np.fft.irfft(spectrum)))
    noise = heard[:n] - reference[:n]
    return lag if lag < n else lag - 2 * n, 10 * np.log10(np.sum(reference[:n] ** 2) / (np.sum(noise**2) + 1e-20))


def one_line(error, *names):
    text = str(error.value)
    assert "\n" not in text and len(text) < 300
    for name in names:
        assert name in text


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """Four seconds at 16 frames per second, frame i of level i, with a chirp."""
    path = tmp_path_factory.mktemp("video") / "grey.mp4"
    write_video(path, grey(64), 16, chirp(22_050, 4), 22_050)
    return path


def remuxed(path, format_name, kinds=("video",)):
    """The same packets in a container that keeps another kind of index."""
    target = path.with_suffix(f".{format_name}")
    with av.open(str(path)) as source, av.open(str(target), "w", format=format_name) as sink:
        tracks = {
            stream.index: sink.add_stream_from_template(stream) for stream in source.streams if stream.type in kinds
        }
        for packet in source.demux([source.streams[i] for i in tracks]):
            if packet.dts is not None:
                packet.stream = tracks[packet.stream.index]
                sink.mux(packet)
    return target


def reordered(path, rotation=0, seconds=4):
    """A film as phones make it: frames stored out of order, long between key frames, perhaps turned."""
    with av.open(str(path), "w") as container:
        track = container.add_stream("libx264", rate=16, options={"preset": "medium", "crf": "10"})
        track.height, track.width, track.pix_fmt, track.gop_size = 48, 64, "yuv420p", 32
        if rotation:
            track.set_display_rotation(rotation)
        for i, image in enumerate(grey(16 * seconds)):
            if rotation:
                image[:, :32] = 200
            frame = av.VideoFrame.from_ndarray(image)
            frame.pts, frame.time_base = i, Fraction(1, 16)
            container.mux(track.encode(frame))
        container.mux(track.encode(None))
    return path


# Sound


@pytest.mark.parametrize("rate", [11_025, 22_050, 44_100])
def test_sound_lines_up_after_aac(tmp_path, rate):
    sound = chirp(rate, 3.017)
    write_video(tmp_path / "a.mp4", grey(48), 16, sound, rate)
    heard = read_audio(tmp_path / "a.mp4", rate)
    lag, snr = lag_and_snr(sound, heard)
    assert (heard.dtype, heard.shape) == (np.float32, sound.shape)
    assert lag == 0
    assert snr > 30


def test_a_click_stays_where_it_was(tmp_path):
    sound = np.zeros(44_100 * 2, np.float32)
    sound[30_000] = 0.9
    write_video(tmp_path / "click.mp4", grey(20), 10, sound, 44_100)
    assert abs(np.argmax(np.abs(read_audio(tmp_path / "click.mp4", 44_100))) - 30_000) <= 1
    assert abs(np.argmax(np.abs(read_audio(tmp_path / "click.mp4", 11_025))) - 7_500) <= 1


def test_the_sum_of_decoded_tracks_is_nearly_the_decoded_mixture(tmp_path):
    rng = np.random.default_rng(0)
    t = np.arange(66_150) / 22_050
    tracks = [
        sum(np.sin(2 * np.pi * f * t + rng.uniform(0, 6)) for f in fs) / 12 for fs in ((220, 440), (310, 930, 1550))
    ]
    heard = []
    for name, sound in zip("abm", [*tracks, sum(tracks)], strict=True):
        write_video(tmp_path / f"{name}.mp4", grey(2), 1, sound, 22_050)
        heard.append(read_audio(tmp_path / f"{name}.mp4", 22_050))
    assert lag_and_snr(heard[2], heard[0] + heard[1])[1] > 30


@pytest.mark.parametrize(("rate", "wanted"), [(44_100, 11_025), (48_000, 11_025), (8_000, 22_050), (11_025, 11_025)])
def test_resampling_keeps_length_and_tone(tmp_path, rate, wanted):
    t = np.arange(rate * 2 + 137) / rate
    soundfile.write(tmp_path / "tone.wav", 0.5 * np.sin(2 * np.pi * 440 * t), rate, subtype="FLOAT")
    heard = read_audio(tmp_path / "tone.wav", wanted)
    assert abs(len(heard) - len(t) * wanted / rate) <= 1
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(len(heard)) / wanted)
    assert np.abs(heard - tone)[200:-200].max() < 1e-3


def test_a_tone_above_the_new_range_is_gone(tmp_path):
    write_audio(tmp_path / "high.wav", np.sin(2 * np.pi * 6_500 * np.arange(44_100) / 44_100), 44_100)
    assert np.abs(read_audio(tmp_path / "high.wav", 11_025)[200:-200]).max() < 1e-3


@pytest.mark.parametrize(
    ("suffix", "subtype", "least_snr_db"),
    [
        ("wav", "PCM_U8", 30),
        ("wav", "PCM_16", 80),
        ("wav", "FLOAT", 120),
        ("wav", "DOUBLE", 120),
        ("flac", "PCM_24", 110),
        ("mp3", "MPEG_LAYER_III", 15),
    ],
)
def test_channels_are_averaged_in_every_sample_format(tmp_path, suffix, subtype, least_snr_db):
    left = chirp(22_050, 1)
    path = tmp_path / f"stereo.{suffix}"
    soundfile.write(path, np.stack([left, 0.5 * left], axis=1), 22_050, subtype=subtype)
    heard = read_audio(path, 22_050)
    assert len(heard) == len(left)
    lag, snr = lag_and_snr(0.75 * left[500:-500], heard[500:-500])
    assert lag == 0 and snr > least_snr_db


def test_wav_is_exact_and_is_not_clipped(tmp_path):
    sound = np.random.default_rng(1).normal(size=(5_000, 2)).astype(np.float32) * 3
    write_audio(tmp_path / "new" / "x.wav", sound, 11_025)
    stored, rate = soundfile.read(tmp_path / "new" / "x.wav", dtype="float32")
    assert rate == 11_025
    np.testing.assert_array_equal(stored, sound)


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
@pytest.mark.parametrize("late", [1_000, 4_000])
def test_sound_that_begins_late_stays_with_the_picture(tmp_path, suffix, late):
    path = tmp_path / f"late.{suffix}"
    with av.open(str(path), "w") as container:
        pictures = container.add_stream("libx264", rate=16)
        pictures.height, pictures.width, pictures.pix_fmt = 48, 64, "yuv420p"
        sound = container.add_stream("flac", rate=8_000, layout="mono", format="s16")
        for i, image in enumerate(grey(32)):
            frame = av.VideoFrame.from_ndarray(image)
            frame.pts, frame.time_base = i, Fraction(1, 16)
            container.mux(pictures.encode(frame))
        block = av.AudioFrame.from_ndarray(np.full((1, 8_000), 9_000, np.int16), format="s16", layout="mono")
        block.sample_rate, block.pts, block.time_base = 8_000, late, Fraction(1, 8_000)
        container.mux([*pictures.encode(None), *sound.encode(block), *sound.encode(None)])
    heard = read_audio(path, 8_000)
    assert abs(np.argmax(heard > 0.1) - late) <= 10
    assert abs(len(heard) - late - 8_000) <= 10


def test_odd_rates_are_raised_for_aac(tmp_path):
    sound = chirp(10_000, 2)
    write_video(tmp_path / "odd.mp4", grey(4), 2, sound, 10_000)
    assert probe(tmp_path / "odd.mp4").sample_rate_hz == 48_000
    assert lag_and_snr(sound, read_audio(tmp_path / "odd.mp4", 10_000))[1] > 30


def test_blocks_of_sound_are_the_whole(video, tmp_path):
    for path, rate in ((video, 22_050), (video, 11_025), (remuxed(video, "matroska", ("video", "audio")), 8_000)):
        blocks = list(audio_blocks(path, rate))
        assert len(blocks) > 50 and all(block.dtype == np.float32 and block.size for block in blocks)
        np.testing.assert_array_equal(np.concatenate(blocks), read_audio(path, rate))


@pytest.mark.parametrize(("promised", "kept"), [(8_000, 8_000), (6_000, 6_000), (3_000, 8_192), (0, 8_192)])
def test_only_padding_is_cut_from_the_end(tmp_path, monkeypatch, promised, kept):
    write_audio(tmp_path / "x.wav", np.arange(8_192) / 8_192, 8_000)
    monkeypatch.setattr(decoding, "promised_s", lambda *of: promised / 8_000)
    np.testing.assert_array_equal(read_audio(tmp_path / "x.wav", 8_000), np.float32(np.arange(kept) / 8_192))


def test_sound_is_read_as_it_is_needed(video, monkeypatch):
    seen, plain = [], decoding.decoded
    monkeypatch.setattr(decoding, "decoded", lambda *given: (seen.append(f) or f for f in plain(*given)))
    next(audio_blocks(video, 22_050))
    assert len(seen) < 5


@pytest.mark.parametrize("size", [1, 777, 10_000])
def test_a_wav_in_blocks_is_that_of_the_whole(tmp_path, size):
    sound = chirp(11_025, 0.5)
    write_audio(tmp_path / "whole.wav", sound, 11_025)
    with audio_writer(tmp_path / "new/blocks.wav", 11_025) as write:
        for start in range(0, len(sound), size):
            write(sound[start : start + size])
        assert not (tmp_path / "new/blocks.wav").exists()  # all or nothing
    files = [bytearray((tmp_path / name).read_bytes()) for name in ("whole.wav", "new/blocks.wav")]
    for content in files:
        place = content.index(b"PEAK") + 12  # after name, size and version: the second in which it was written
        content[place : place + 4] = bytes(4)
    assert files[0] == files[1]


@pytest.mark.parametrize("bad", [np.array([0.0, np.inf]), None])
def test_a_failure_in_the_middle_leaves_no_wav(tmp_path, bad):
    path = tmp_path / "x.wav"
    path.write_bytes(b"the sound of yesterday")
    with (
        pytest.raises((MediaError, RuntimeError), match=r"NaN or infinity|out of ideas"),
        audio_writer(path, 8_000) as w,
    ):
        w(np.zeros(5_000))
        if bad is None:
            raise RuntimeError("out of ideas")
        w(bad)
    assert [file.name for file in tmp_path.iterdir()] == ["x.wav"]
    assert path.read_bytes() == b"the sound of yesterday"


def test_a_film_in_blocks_is_that_of_the_whole(tmp_path):
    sound = chirp(10_000, 2)  # a rate that is raised
    write_video(tmp_path / "whole.mp4", grey(16), 8, sound, 10_000)
    with video_writer(tmp_path / "blocks.mp4", 8, 10_000) as film:
        for i, picture in enumerate(grey(16)):
            film.show(picture)
            for part in np.array_split(sound[i * 1_250 : (i + 1) * 1_250], 3):
                film.play(part)
    heard = [read_audio(tmp_path / f"{name}.mp4", 10_000) for name in ("whole", "blocks")]
    np.testing.assert_allclose(*heard, atol=0.01)
    frames = [read_frames(tmp_path / f"{name}.mp4", np.arange(16) / 8, 48) for name in ("whole", "blocks")]
    np.testing.assert_array_equal(*frames)


# Frames


def test_frames_come_one_by_one(video, monkeypatch):
    times = [0.1, 0.1, 0.5, 2.0, 9.0]
    np.testing.assert_array_equal(np.stack(list(frames_at(video, times, 48))), read_frames(video, times, 48))
    with pytest.raises(MediaError, match=r"grey\.mp4: times_s must not fall"):
        next(frames_at(video, [1.0, 0.5], 48))
    seen, plain = [], decoding.decoded
    monkeypatch.setattr(decoding, "decoded", lambda *given: (seen.append(f) or f for f in plain(*given)))
    next(frames_at(video, np.arange(0, 4, 0.1), 48))
    assert len(seen) < 5


@pytest.mark.parametrize("colour", [(200, 40, 60), (30, 90, 220), (255, 255, 255)])
def test_planes_hold_the_same_picture(tmp_path, colour):
    image = np.full((48, 65, 3), colour, np.uint8)
    write_video(tmp_path / "x.mp4", [image] * 4, 4, None, 0)
    (planes,) = planes_at(tmp_path / "x.mp4", [0.5], 24)
    assert [plane.shape for plane in planes] == [(24, 34), (12, 17), (12, 17)]
    with video_writer(tmp_path / "y.mp4", 4, channels=0) as film:
        film.show(planes)
    np.testing.assert_allclose(read_frames(tmp_path / "y.mp4", [0], 24)[0, 6:-6, 6:-6].mean((0, 1)), colour, atol=4)


def test_planes_of_a_turned_video_are_upright(tmp_path):
    path = reordered(tmp_path / "turned.mp4", rotation=-90)
    luma, *chromas = next(planes_at(path, [0.0], 48))
    assert luma.shape == (64, 48) and [plane.shape for plane in chromas] == [(32, 24)] * 2
    assert luma[:24].mean() > 150 and luma[40:].mean() < 40


def levels(path, times_s, **options):
    return read_frames(path, times_s, 48, **options)[:, 20, 20].mean(axis=-1)


TIMES_S = [3.3, 0.0, 1.0, 0.0625 * 7, 3.95, 1.01, 2.5, 99.0, 2.5]


@pytest.mark.parametrize("format_name", ["mp4", "matroska", "mpegts"])
def test_frames_are_those_shown_at_any_times_in_any_order(video, format_name):
    path = video if format_name == "mp4" else remuxed(video, format_name)
    wanted = np.minimum(np.floor(np.array(TIMES_S) * 16 + 0.01), 63)
    np.testing.assert_allclose(levels(path, TIMES_S), wanted, atol=1.5)


def test_frames_stored_out_of_order_are_found(tmp_path):
    path = reordered(tmp_path / "phone.mp4", seconds=12)
    times = np.random.default_rng(2).uniform(0, 12, 12)
    np.testing.assert_allclose(levels(path, times), np.floor(times * 16), atol=1.5)
    for time_s in times:
        np.testing.assert_allclose(levels(path, [time_s]), np.floor(time_s * 16), atol=1.5)


def test_a_file_without_index_is_searched_blindly_and_rightly(tmp_path):
    path = remuxed(reordered(tmp_path / "long.mp4", seconds=15), "mpegts")
    times = [14.0, 7.3, 500.0, 0.5]
    np.testing.assert_allclose(levels(path, times), [224, 116, 239, 8], atol=1.5)


def test_sparse_frames_decode_little(video, monkeypatch):
    seen = []
    plain = decoding.decoded
    monkeypatch.setattr(decoding, "decoded", lambda *given: (seen.append(f) or f for f in plain(*given)))
    read_frames(video, [3.5], 48)
    assert len(seen) < 30  # of 64


def test_colours_and_sizes(tmp_path):
    image = np.zeros((120, 200, 3), np.uint8)
    image[:, :100], image[:, 100:] = (200, 40, 60), (30, 90, 220)
    write_video(tmp_path / "colour.mp4", [image] * 4, 4, None, 0)
    frames = read_frames(tmp_path / "colour.mp4", [0, 0.5], 60)
    assert frames.shape == (2, 60, 100, 3) and frames.dtype == np.uint8
    np.testing.assert_allclose(frames[0, 30, 20], (200, 40, 60), atol=4)
    np.testing.assert_allclose(frames[1, 30, 80], (30, 90, 220), atol=4)


def test_odd_sizes_gain_a_row_and_a_column(tmp_path):
    write_video(tmp_path / "odd.mp4", grey(5, 47, 63), 29.97, None, 0)
    info = probe(tmp_path / "odd.mp4")
    assert (info.height_px, info.width_px, info.sample_rate_hz, info.channels) == (48, 64, 0, 0)
    assert info.fps == pytest.approx(29.97)


def test_a_turned_video_is_read_upright(tmp_path):
    path = reordered(tmp_path / "turned.mp4", rotation=-90)  # turn right: what was left is now on top
    info = probe(path)
    assert (info.height_px, info.width_px) == (64, 48)
    frame = read_frames(path, [0.0], 48)[0]
    assert frame.shape == (64, 48, 3)
    assert frame[:24].mean() > 180 and frame[40:].mean() < 20


def test_directory_of_frames(tmp_path):
    for i, image in enumerate(grey(20)):
        Image.fromarray(image * 10).save(tmp_path / f"{i + 1:06d}.jpg", quality=95)
    (tmp_path / "notes.txt").write_text("no frame")
    np.testing.assert_allclose(levels(tmp_path, [1.0, 0.0, 0.13, 9.0]), [80, 0, 10, 190], atol=2)
    np.testing.assert_allclose(levels(tmp_path, [1.0], directory_fps=4), [40], atol=2)
    assert read_frames(tmp_path, [0], 24).shape == (1, 24, 32, 3)


def test_probe(video):
    info = probe(video)
    assert info == media.MediaInfo(pytest.approx(4, abs=0.001), 16, 48, 64, 22_050, 1)


# Writing


def test_the_same_video_gives_the_same_bytes(video, tmp_path):
    write_video(tmp_path / "again.mp4", (frame for frame in grey(64)), 16, chirp(22_050, 4), 22_050)
    assert (tmp_path / "again.mp4").read_bytes() == video.read_bytes()


def test_nothing_is_left_when_the_frames_fail(tmp_path):
    path = tmp_path / "x.mp4"
    path.write_bytes(b"the film of yesterday")

    def failing():
        yield from grey(5)
        raise RuntimeError("out of ideas")

    with pytest.raises(RuntimeError, match="out of ideas"):
        write_video(path, failing(), 8, chirp(22_050, 2), 22_050)
    assert [file.name for file in tmp_path.iterdir()] == ["x.mp4"]
    assert path.read_bytes() == b"the film of yesterday"


@pytest.mark.parametrize(
    ("frames", "audio", "said"),
    [
        ([], None, "no frame"),
        ([*grey(2), np.zeros((9, 9, 3), np.uint8)], None, "frame 2"),
        ([np.zeros((8, 8), np.uint8)], None, "(8, 8)"),
        ([np.zeros((8, 8, 3))], None, "float64"),
        (grey(2), np.array([0, np.nan]), "NaN"),
        (grey(2), np.zeros((100, 3)), "(100, 3)"),
    ],
)
def test_what_cannot_be_written_is_refused(tmp_path, frames, audio, said):
    with pytest.raises(MediaError) as error:
        write_video(tmp_path / "bad.mp4", frames, 8, audio, 22_050)
    one_line(error, "bad.mp4", said)
    assert not list(tmp_path.iterdir())


# Bad input


def readers():
    return [probe, lambda path: read_audio(path, 11_025), lambda path: read_frames(path, [0], 48)]


@pytest.mark.parametrize("read", readers(), ids=["probe", "audio", "frames"])
@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("missing.mp4", None, "does not exist"),
        ("text.mp4", b"this is no film\n" * 99, "not a media file"),
        ("nothing.mp4", b"", "empty"),
    ],
)
def test_no_media_file(tmp_path, read, name, content, said):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(MediaError) as error:
        read(tmp_path / name)
    one_line(error, name, said)


@pytest.mark.parametrize("read", readers(), ids=["probe", "audio", "frames"])
def test_a_file_cut_off(video, tmp_path, read):
    content = video.read_bytes()
    (tmp_path / "cut.mp4").write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(MediaError) as error:
        read(tmp_path / "cut.mp4")
    one_line(error, "cut.mp4", "cut off")


def test_missing_tracks(tmp_path):
    write_video(tmp_path / "mute.mp4", grey(4), 4, None, 0)
    write_audio(tmp_path / "blind.wav", chirp(8_000, 1), 8_000)
    with pytest.raises(MediaError) as error:
        read_audio(tmp_path / "mute.mp4", 11_025)
    one_line(error, "mute.mp4", "no sound track")
    with pytest.raises(MediaError) as error:
        read_frames(tmp_path / "blind.wav", [0], 48)
    one_line(error, "blind.wav", "no picture track")
    assert probe(tmp_path / "blind.wav") == media.MediaInfo(1.0, 0.0, 0, 0, 8_000, 1)


def test_no_sound_in_the_track(tmp_path):
    write_audio(tmp_path / "zero.wav", np.zeros(0), 8_000)
    with pytest.raises(MediaError) as error:
        read_audio(tmp_path / "zero.wav", 8_000)
    one_line(error, "zero.wav")


def test_bad_directories_and_times(tmp_path, video):
    with pytest.raises(MediaError) as error:
        read_frames(tmp_path, [0], 48)
    one_line(error, str(tmp_path), "no jpg or png")
    (tmp_path / "1.jpg").write_bytes(b"\xff\xd8 broken")
    with pytest.raises(MediaError) as error:
        read_frames(tmp_path, [0], 48)
    one_line(error, "1.jpg")
    for times in ([], [np.nan], [[0.0]]):
        with pytest.raises(MediaError, match="finite seconds"):
            read_frames(video, times, 48)


def damaged(path, target, first, last):
    """A copy with the sound packets of some seconds filled with noise."""
    content = bytearray(Path(path).read_bytes())
    rng = np.random.default_rng(3)
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        for packet in container.demux(stream):
            if packet.pts is not None and first <= packet.pts * packet.time_base < last:
                content[packet.pos : packet.pos + packet.size] = rng.bytes(packet.size)
    target.write_bytes(content)
    return target


def test_damage_in_the_middle_is_told_and_the_rest_stays_in_time(video, tmp_path):
    path = damaged(video, tmp_path / "scratched.mp4", 1.5, 2.0)
    with pytest.warns(UserWarning, match=r"scratched\.mp4: its sound is damaged"):
        heard = read_audio(path, 22_050)
    clean = read_audio(video, 22_050)
    assert len(heard) == len(clean)
    for part in (slice(0, 30_000), slice(48_000, None)):
        np.testing.assert_allclose(heard[part], clean[part], atol=1e-3)


def test_a_stream_that_ends_early_is_told(video, tmp_path):
    whole = remuxed(video, "matroska", ("video", "audio")).read_bytes()
    (tmp_path / "early.mkv").write_bytes(whole[: len(whole) // 2])
    with pytest.warns(UserWarning, match=r"early\.mkv: .*its sound ends at"):
        heard = read_audio(tmp_path / "early.mkv", 11_025)
    assert 11_025 < len(heard) < 3 * 11_025


def test_no_warning_without_a_fault(video):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_audio(video, 11_025)
        read_frames(video, [0, 1], 48)


def test_a_video_that_changes_its_size_keeps_that_of_its_beginning(tmp_path):
    parts = [tmp_path / "a.ts", tmp_path / "b.ts"]
    for part, (height, width) in zip(parts, ((64, 96), (96, 96)), strict=True):
        with av.open(str(part), "w") as container:
            stream = container.add_stream("libx264", 8)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            for number in range(8):
                frame = av.VideoFrame.from_ndarray(np.full((height, width, 3), 90, np.uint8))
                frame.pts, frame.time_base = number + 8 * parts.index(part), Fraction(1, 8)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    path = tmp_path / "both.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    times = [0.0, 0.9, 1.5, 1.9]
    assert read_frames(path, times, 64).shape == (4, 64, 96, 3)
    assert {planes[0].shape for planes in media.planes_at(path, times, 64)} == {(64, 96)}
