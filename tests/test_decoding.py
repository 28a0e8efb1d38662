"""A file is walked through once, forward, and what is damaged in it is noted."""

import resource
from fractions import Fraction
from types import SimpleNamespace

import av
import broken_files
import numpy as np
import pytest
import soundfile

from avsep_lib import decoding, media
from avsep_lib.decoding import MediaError
from avsep_lib.media import write_video


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """Two seconds at 8 frames per second, frame i of level 10 i, with a tone."""
    path = tmp_path_factory.mktemp("video") / "grey.mp4"
    frames = (np.full((48, 64, 3), 10 * i, np.uint8) for i in range(16))
    write_video(path, frames, 8, np.sin(np.arange(16_000) / 9) / 2, 8_000)
    return path


def test_tracks_know_their_ends(video):
    with decoding.opened(video) as container:
        sound, pictures = decoding.track(container, "audio"), decoding.track(container, "video")
        assert decoding.track(container, "subtitle") is None
        assert decoding.promised_s(container, sound) == pytest.approx(2, abs=1e-3)
        assert decoding.promised_s(container, pictures) == pytest.approx(2, abs=1e-3)
        assert decoding.duration_s(container) == pytest.approx(2, abs=1e-3)


def test_a_walk_shows_what_is_on_at_each_time(video):
    with decoding.opened(video) as container:
        walk = decoding.Walk(container, decoding.track(container, "video"), [])
        shown = [walk.to(time_s).time for time_s in (0.0, 0.12, 0.125, 0.9, 1.99, 5.0)]
    assert shown == pytest.approx([0.0, 0.0, 0.125, 0.875, 1.875, 1.875])


def test_blocks_of_sound_are_brought_to_one_rate():
    pieces = [(8_000, np.ones(4_000, np.float32)), (8_000, np.zeros(4_000, np.float32))]
    heard = np.concatenate(list(decoding.resampled(pieces, 4_000)))
    assert len(heard) == 4_000
    np.testing.assert_allclose(heard[200:1_800], 1, atol=0.01)
    np.testing.assert_allclose(heard[2_200:], 0, atol=0.01)


def test_faults_are_told_in_one_warning():
    with pytest.warns(UserWarning, match=r"x\.mp4: damaged, and 1 more faults; went on"):
        decoding.warn("x.mp4", ["damaged", "worse"])


def test_ffmpegs_words_become_ours(tmp_path):
    (tmp_path / "x.mp4").write_bytes(b"no video" * 50)
    with pytest.raises(MediaError, match=r"x\.mp4: is not a media file"), decoding.opened(tmp_path / "x.mp4"):
        pass


def test_pictures_too_large_for_memory_are_refused_before_there_is_room_made_for_them(tmp_path):
    (tmp_path / "bomb.avi").write_bytes(broken_files.avi(64, 48, codec=b"MPNG", content=broken_files.bomb(16_000)))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(MediaError, match=r"bomb\.avi: no frame of it can be decoded"):
        media.read_frames(tmp_path / "bomb.avi", [0.0], 64)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # of 256,000 KiB


@pytest.mark.parametrize(("width", "height"), [(4_000, 2), (2, 4_000)])
def test_pictures_that_are_a_line_are_refused(tmp_path, width, height):
    picture = bytes((width * 3 + 3) // 4 * 4 * height)
    (tmp_path / "line.avi").write_bytes(broken_files.avi(width, height, content=picture))
    with pytest.raises(MediaError, match=rf"line\.avi: has pictures of {width} x {height} px"):
        media.read_frames(tmp_path / "line.avi", [0.0], 64)


@pytest.mark.parametrize("rate", [1, 50, 2_000_000])
def test_sound_at_an_impossible_rate_is_refused(tmp_path, rate):
    (tmp_path / "odd.wav").write_bytes(broken_files.wav(rate, 1))
    with pytest.raises(MediaError, match=rf"odd\.wav: has sound at {rate} Hz"):
        media.read_audio(tmp_path / "odd.wav", 11_025)


@pytest.mark.parametrize("name", ["hls", "concat", "sdp"])
def test_a_list_of_other_files_is_not_followed(tmp_path, name):
    soundfile.write(tmp_path / "tone.wav", np.sin(np.arange(8_000) / 9) / 2, 8_000)
    text = {
        "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\ntone.wav\n#EXT-X-ENDLIST\n",
        "concat": "ffconcat version 1.0\nfile tone.wav\n",
        "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
    }[name]
    (tmp_path / "list.mp4").write_text(text)
    with pytest.raises(MediaError, match=r"list\.mp4: is (a list of other files|not a media file)"):
        media.read_audio(tmp_path / "list.mp4", 8_000)


def test_a_long_hole_is_silence_in_small_blocks(monkeypatch):
    def frame(time):
        kind = SimpleNamespace(is_planar=False)
        return SimpleNamespace(time=time, sample_rate=8_000, samples=8_000, format=kind)

    monkeypatch.setattr(decoding, "decoded", lambda *_: [frame(0.0), frame(61.0), frame(1e9)])
    monkeypatch.setattr(decoding, "_samples", lambda frame: np.ones((frame.samples, 1), np.float32))
    container = SimpleNamespace(start_time=0, duration=2**62, name="x.mp4")
    sizes = [len(block) for _, block in decoding.sound_pieces(container, None, [])]
    assert sizes == [8_000] + [80_000] * 6 + [8_000, 8_000]


def frames_of(channels, count=3):
    """Planar frames as a decoder gives them, the second of so many channels."""
    for n in range(count):
        held = av.AudioFrame.from_ndarray(np.ones((1, 800), np.float32), format="fltp", layout="mono")
        held.sample_rate, held.pts, held.time_base = 8_000, n * 800, Fraction(1, 8_000)
        layout = SimpleNamespace(nb_channels=channels if n == 1 else 1)
        yield SimpleNamespace(time=n / 10, sample_rate=8_000, samples=800, format=held.format, layout=layout,
                              to_ndarray=held.to_ndarray if layout.nb_channels <= 8 else None)  # fmt: skip


def test_a_damaged_block_of_too_many_channels_is_silent(monkeypatch):
    """PyAV reads beyond the memory of a planar block of more than eight channels."""
    monkeypatch.setattr(decoding, "decoded", lambda *_: frames_of(31))
    container, faults = SimpleNamespace(start_time=0, duration=10**6, name="x.mp4"), []
    stream = SimpleNamespace(codec_context=SimpleNamespace(channels=1))
    heard = np.concatenate([block for _, block in decoding.sound_pieces(container, stream, faults)])
    assert heard.tolist() == [1] * 800 + [0] * 800 + [1] * 800
    assert faults == ["its sound is damaged (channels that are not there)"]
    stream.codec_context.channels = 31
    with pytest.raises(MediaError, match=r"x\.mp4: has sound of 31 channels; mix it down to 8"):
        list(decoding.sound_pieces(container, stream, faults))
