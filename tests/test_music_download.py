"""Videos are fetched from a server on this machine, by yt-dlp itself; nothing here leaves the machine."""

import dataclasses
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from made_up_youtube import serving

from avsep_lib import media, music, music_download
from avsep_lib.music_download import Manners
from avsep_lib.settings import StudyError

QUICK = Manners(pause_s=0.0, bytes_per_s=1e9)
NAMES = [f"video-id_{number:02d}" for number in range(20)]


@pytest.fixture(autouse=True)
def nothing_leaves_the_machine(monkeypatch):
    """An address that is not this machine's fails the test."""
    connect = socket.socket.connect

    def watched(self, address):
        assert address[0] in ("127.0.0.1", "::1") or self.family == socket.AF_UNIX, address
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", watched)
    monkeypatch.setenv("NO_PROXY", "*")


@pytest.fixture
def youtube():
    with serving() as state:
        yield state


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """The bytes of a video of 8 s, with sound; and of its pictures and its sound alone."""
    folder = tmp_path_factory.mktemp("film")
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 255, (48, 64, 3), dtype=np.uint8) for _ in range(80)]
    sound = 0.1 * rng.normal(size=8 * 22_050)
    media.write_video(folder / "whole.mp4", pictures, 10, sound, 22_050)
    media.write_video(folder / "pictures.mp4", pictures, 10, None, 0)
    with media.container_writer(folder / "sound.mp4", 22_050) as container:
        track = container.add_stream("aac", rate=22_050, layout="mono")
        block = media.av.AudioFrame.from_ndarray(sound.astype(np.float32)[None], "fltp", "mono")
        block.sample_rate = 22_050
        container.mux(track.encode(block))
        container.mux(track.encode(None))
    return SimpleNamespace(**{path.stem: path.read_bytes() for path in folder.iterdir()})


def fetch(youtube, names, root, manners=QUICK, **options):
    noted = music_download.download(names, root, manners, extractors=[youtube.extractor], **options)
    return noted.table().set_index("video_id")


def test_what_can_be_fetched_is_and_the_rest_has_its_reason(youtube, film, tmp_path):
    youtube.videos = dict.fromkeys(NAMES[:8], film.whole) | {
        NAMES[8]: "Private video. Sign in if you've been granted access to this video",
        NAMES[9]: "Video unavailable. This video has been removed by the uploader",
        NAMES[10]: "The uploader has not made this video available in your country",
        NAMES[11]: "Sign in to confirm your age. This video may be inappropriate for some users.",
        NAMES[12]: film.whole,
        NAMES[13]: b"this is no video",
        NAMES[14]: film.whole,
    }
    youtube.about = {NAMES[12]: {"duration": 3.0}, NAMES[14]: {"live_status": "is_live"}}
    told = []
    table = fetch(youtube, NAMES[:15], tmp_path, progress=lambda *so_far: told.append(so_far))
    assert table.state[NAMES[:8]].tolist() == ["fetched"] * 8
    wanted = ["private", "gone", "blocked", "blocked", "short", "failed", "blocked"]
    assert table.state[NAMES[8:15]].tolist() == wanted
    assert (table.reason[NAMES[8:15]] != "").all() and "3.0 s" in table.reason[NAMES[12]]
    assert table.date.str.fullmatch(r"20\d\d-\d\d-\d\d").all()
    assert table.uploader[NAMES[0]] == "UC" + NAMES[0]
    files = {path.name: path.read_bytes() for path in (tmp_path / "videos").glob("*.mp4")}
    assert files == {f"{name}.mp4": film.whole for name in NAMES[:8]}
    assert told[-1] == ("fetching videos", 15, 15) and len(told) == 15


def test_the_small_format_is_fetched(youtube, film, tmp_path):
    youtube.videos = {NAMES[0]: film.whole}
    fetch(youtube, NAMES[:1], tmp_path)
    assert [path for path, *_ in youtube.asked] == [f"/info/{NAMES[0]}", f"/media/{NAMES[0]}.right"]


def test_pictures_and_sound_that_come_apart_are_put_together(youtube, film, tmp_path):
    youtube.videos = {NAMES[0]: {"p": film.pictures, "s": film.sound}}
    assert fetch(youtube, NAMES[:1], tmp_path).state.tolist() == ["fetched"]
    path = tmp_path / f"videos/{NAMES[0]}.mp4"
    info = media.probe(path)
    assert (info.height_px, info.sample_rate_hz) == (48, 22_050) and info.duration_s == pytest.approx(8, abs=0.1)
    (tmp_path / "whole.mp4").write_bytes(film.whole)
    ours, theirs = (media.read_frames(each, [4.0], 48) for each in (path, tmp_path / "whole.mp4"))
    assert (ours == theirs).all()
    assert not list((tmp_path / "videos/.part").glob("video-id*"))


def test_a_second_time_nobody_is_asked_but_who_failed(youtube, film, tmp_path):
    youtube.videos = {NAMES[0]: film.whole, NAMES[1]: "Video unavailable", NAMES[2]: "HTTP Error 503"}
    fetch(youtube, NAMES[:3], tmp_path)
    youtube.asked.clear()
    fetch(youtube, NAMES[:3], tmp_path)
    assert {path for path, *_ in youtube.asked} == {f"/info/{NAMES[2]}"}
    youtube.asked.clear()
    youtube.videos[NAMES[1]] = film.whole
    assert fetch(youtube, NAMES[:3], tmp_path, again=True).state[NAMES[1]] == "fetched"


@pytest.mark.parametrize(
    "name", ["../../x", "-o", "", "a/../../etc/x", "https://x.y/z", "video-id_0\n", "--exec=true0"]
)
def test_a_name_that_is_none_never_becomes_a_path_or_an_address(youtube, film, tmp_path, name):
    youtube.videos = {NAMES[0]: film.whole}
    (tmp_path / "in").mkdir()
    table = fetch(youtube, [name, NAMES[0]], tmp_path / "in/root")
    assert table.state.to_dict() == {name: "refused", NAMES[0]: "fetched"}
    assert all(NAMES[0] in path for path, *_ in youtube.asked)
    assert [path.name for path in tmp_path.iterdir()] == ["in"] and [p.name for p in (tmp_path / "in").iterdir()] == [
        "root"
    ]
    assert {path.name for path in (tmp_path / "in/root").iterdir()} == {
        "videos", "availability.csv", ".availability.lock",
    }  # fmt: skip
    assert music.Availability(tmp_path / "in/root").state(name.strip("\n")) in ("refused", "")


def test_a_name_may_begin_with_a_dash(youtube, film, tmp_path):
    youtube.videos = {"-ieHd2A9vOg": film.whole}
    assert fetch(youtube, ["-ieHd2A9vOg"], tmp_path).state.tolist() == ["fetched"]
    assert (tmp_path / "videos/-ieHd2A9vOg.mp4").is_file()


def test_a_fault_that_passes_is_asked_again_with_longer_and_longer_pauses(youtube, film, tmp_path, monkeypatch):
    busy = "HTTP Error 429: Too Many Requests"
    youtube.videos = {NAMES[0]: [busy, busy, "Video unavailable"]}
    waited = []
    fetch_one = music_download._Fetch(tmp_path, Manners(pause_s=1.0), [youtube.extractor], music.Availability(tmp_path))
    monkeypatch.setattr(fetch_one.stop, "wait", waited.append)
    fetch_one.one(NAMES[0])
    assert fetch_one.noted.state(NAMES[0]) == "gone"
    assert len(waited) == 3 and 1.5 * waited[0] < waited[1] and 1.5 <= waited[0] <= 2.5 and waited[2] < 1.5


def test_when_video_after_video_fails_it_stops_and_says_what_may_help(youtube, tmp_path):
    youtube.videos = dict.fromkeys(NAMES, "Sign in to confirm you're not a bot")
    with pytest.raises(StudyError, match=r"8 videos in a row.*not a bot.*--cookies") as error:
        fetch(youtube, NAMES, tmp_path, dataclasses.replace(QUICK, at_a_time=1))
    assert "\n" not in str(error.value)
    assert music.Availability(tmp_path).table().state.tolist() == ["failed"] * 8


MANY = [f"many-id_{number:03d}" for number in range(64)]
ONE_BY_ONE = dataclasses.replace(QUICK, at_a_time=1)


def test_when_the_first_are_all_lost_it_stops_and_goes_on_with_the_next(youtube, tmp_path):
    for done in (30, 60):
        with pytest.raises(StudyError, match=r"the first 30 videos are all lost \(the last one: .*--again") as error:
            fetch(youtube, MANY, tmp_path, ONE_BY_ONE)
        assert "\n" not in str(error.value) and len(music.Availability(tmp_path).table()) == done
    assert set(fetch(youtube, MANY, tmp_path, ONE_BY_ONE).state) == {"gone"}


def test_one_video_that_comes_shows_that_the_lost_are_lost(youtube, film, tmp_path):
    youtube.videos = {MANY[-1]: film.whole}
    with pytest.raises(StudyError, match="first 30"):
        fetch(youtube, MANY, tmp_path, ONE_BY_ONE)
    table = fetch(youtube, [MANY[-1], *MANY], tmp_path, ONE_BY_ONE)
    assert table.state.value_counts().to_dict() == {"gone": 63, "fetched": 1}


def test_what_was_lost_before_may_all_be_lost_again(youtube, tmp_path):
    noted = music.Availability(tmp_path)
    for name in MANY:
        noted.note(name, "gone")
    assert len(fetch(youtube, MANY, tmp_path, again=True)) == len(youtube.asked) == 64


def test_no_more_are_asked_for_than_was_said(youtube, film, tmp_path):
    youtube.videos = dict.fromkeys(NAMES, film.whole)
    (tmp_path / "videos").mkdir()
    (tmp_path / f"videos/{NAMES[0]}.mp4").write_bytes(film.whole)
    table = fetch(youtube, ["none", *NAMES], tmp_path, most=2)
    assert table.state.to_dict() == {"none": "refused", NAMES[1]: "fetched", NAMES[2]: "fetched"}


@pytest.mark.parametrize("apart", [False, True])
def test_a_file_that_came_broken_is_fetched_again(youtube, film, tmp_path, apart):
    half = film.whole[: len(film.whole) // 2]
    youtube.videos = {NAMES[0]: {"p": half, "s": film.sound} if apart else half}
    table = fetch(youtube, NAMES[:1], tmp_path / "geo")
    assert table.state.tolist() == ["failed"] and "cut off" in table.reason.iloc[0]
    youtube.videos = {NAMES[0]: {"p": film.pictures, "s": film.sound} if apart else film.whole}
    assert fetch(youtube, NAMES[:1], tmp_path / "geo").state.tolist() == ["fetched"]


def test_a_link_to_nowhere_is_no_video(youtube, film, tmp_path):
    youtube.videos = {NAMES[0]: film.whole}
    (tmp_path / "videos").mkdir()
    path = tmp_path / f"videos/{NAMES[0]}.mp4"
    path.symlink_to(tmp_path / "nowhere.mp4")
    assert fetch(youtube, NAMES[:1], tmp_path).state.tolist() == ["fetched"]
    assert path.read_bytes() == film.whole and not path.is_symlink()


def test_only_a_few_come_at_a_time(youtube, film, tmp_path):
    youtube.videos, youtube.slow_s = dict.fromkeys(NAMES[:8], film.whole), 0.002
    fetch(youtube, NAMES[:8], tmp_path, dataclasses.replace(QUICK, at_a_time=3))
    assert 2 <= youtube.most_at_once <= 3


def test_the_rate_is_shared_out(tmp_path, youtube):
    fetcher = music_download._Fetch(tmp_path, Manners(4, 2e6), [youtube.extractor], music.Availability(tmp_path))
    assert fetcher._options(NAMES[0], [])["ratelimit"] == 5e5


def test_cookies_are_sent_and_their_file_stays_as_it_was(youtube, film, tmp_path):
    youtube.videos = {NAMES[0]: film.whole}
    path = tmp_path / "cookies.txt"
    path.write_text("# Netscape HTTP Cookie File\n127.0.0.1\tFALSE\t/\tFALSE\t0\tSID\tsecret\n")
    before = path.read_bytes()
    fetch(youtube, NAMES[:1], tmp_path / "root", dataclasses.replace(QUICK, cookies=str(path)))
    assert {cookie for *_, cookie in youtube.asked} == {"SID=secret"}
    assert path.read_bytes() == before
    assert not [file for file in (tmp_path / "root").rglob("*") if file.is_file() and b"secret" in file.read_bytes()]


@pytest.mark.parametrize("content", [None, "", "no cookies", b"\xff\xfe\x00"])
def test_a_file_that_holds_no_cookies_is_named(youtube, tmp_path, content):
    if content is not None:
        (tmp_path / "mine.txt").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(StudyError, match=r"mine\.txt"):
        fetch(youtube, NAMES[:1], tmp_path, dataclasses.replace(QUICK, cookies=str(tmp_path / "mine.txt")))
    assert not youtube.asked


def test_what_will_not_fit_is_refused_before_anybody_is_asked(youtube, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=600_000_000))
    with pytest.raises(StudyError, match=r"20 videos take about 0\.4 GB, and 0\.6 GB are free"):
        fetch(youtube, NAMES, tmp_path / "root")
    assert not youtube.asked and not (tmp_path / "root").exists()


def test_a_disk_that_fills_up_stops_all_and_blames_no_video(youtube, film, tmp_path, monkeypatch):
    youtube.videos = dict.fromkeys(NAMES[:3], film.whole)

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(music_download.os, "replace", full)
        with pytest.raises(StudyError, match="disk is full"):
            music_download._Fetch(tmp_path, QUICK, [youtube.extractor], music.Availability(tmp_path)).one(NAMES[0])
    assert not (tmp_path / "availability.csv").exists()
    table = fetch(youtube, NAMES[:3], tmp_path)
    assert table.state.tolist() == ["fetched"] * 3  # also the one of which a part lies there that cannot go on


def test_without_a_javascript_runtime_it_says_so_and_asks_nobody(tmp_path, monkeypatch):
    from yt_dlp import globals as yt_dlp_globals

    absent = {name: lambda: SimpleNamespace(info=None) for name in ("deno", "node", "bun", "quickjs")}
    monkeypatch.setattr(yt_dlp_globals.supported_js_runtimes, "value", absent)
    with pytest.raises(StudyError, match=r"JavaScript runtime.*there is none;.*deno.*node") as error:
        music_download.download(NAMES[:1], tmp_path / "root", QUICK)
    assert "\n" not in str(error.value) and not (tmp_path / "root/availability.csv").exists()
    old = SimpleNamespace(info=SimpleNamespace(name="node", version="18.0", supported=False))
    monkeypatch.setattr(yt_dlp_globals.supported_js_runtimes, "value", absent | {"node": lambda: old})
    with pytest.raises(StudyError, match=r"node 18\.0 is too old"):
        music_download.check_runtime()
    new = SimpleNamespace(info=SimpleNamespace(name="node", version="22.1", supported=True))
    monkeypatch.setattr(yt_dlp_globals.supported_js_runtimes, "value", absent | {"node": lambda: new})
    assert music_download.check_runtime() == "node 22.1"


KILLED = """
import sys
from made_up_youtube import StandIn
from avsep_lib import music_download
class StandInIE(StandIn):
    address = sys.argv[1]
music_download.download(sys.argv[3:], sys.argv[2], music_download.Manners(2, 1e9, 0.0), extractors=[StandInIE])
"""


def test_killed_and_started_again_it_goes_on_also_within_a_video(youtube, film, tmp_path):
    youtube.videos, youtube.slow_s = dict.fromkeys(NAMES, film.whole), 0.01
    environment = {"PYTHONPATH": f"{Path(__file__).parent}:{Path(music.__file__).parent.parent}", "NO_PROXY": "*"}
    command = [sys.executable, "-c", KILLED, youtube.address, tmp_path, *NAMES]
    with subprocess.Popen(command, env=environment) as process:
        give_up = time.monotonic() + 60
        while time.monotonic() < give_up and (
            len(list((tmp_path / "videos").glob("*.mp4"))) < 3
            or not any(path.stat().st_size > 8192 for path in (tmp_path / "videos/.part").glob("*.part"))
        ):
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    done = {path: path.stat().st_mtime_ns for path in (tmp_path / "videos").glob("*.mp4")}
    assert 3 <= len(done) < 20
    youtube.asked.clear()
    youtube.slow_s = 0.0
    assert fetch(youtube, NAMES, tmp_path).state.value_counts().to_dict() == {"fetched": 20}
    assert [start for _, start, _ in youtube.asked if start and start != "bytes=0-"], "no video went on in its middle"
    assert all(path.stat().st_mtime_ns == changed for path, changed in done.items())
    assert all((tmp_path / f"videos/{name}.mp4").read_bytes() == film.whole for name in NAMES)


@pytest.mark.parametrize(
    ("said", "state"),
    [
        ("This video is private", "private"),
        ("This video is no longer available because the YouTube account has been terminated", "gone"),
        ("This video is not available", "gone"),
        ("This video isn't available anymore", "gone"),
        ("This live stream recording is not available.", "gone"),
        ("Video unavailable", "gone"),
        ("Video unavailable. This video has been removed by the uploader", "gone"),
        ("This video has been removed for violating YouTube's Terms of Service", "gone"),
        ("This video is no longer available because the uploader has closed their YouTube account.", "gone"),
        ("This video does not exist.", "gone"),
        ("This account has been terminated", "gone"),
        ("This channel is closed", "gone"),
        ("This content isn't available, try again later", "failed"),
        ("The following content is not available on this app", "failed"),
        ("Requested format is not available", "failed"),
        ("Remote end closed connection without response", "failed"),
        ("Connection closed by peer", "failed"),
        ("Connection blocked in this country", "failed"),
        ("Unable to connect to proxy. Tunnel connection failed: 503 Service Unavailable", "failed"),
        ("[Errno 11] Resource temporarily unavailable", "failed"),
        ("Unable to download API page: HTTP Error 404: Not Found", "failed"),
        ("Video unavailable. The uploader has not made this video available in your country", "blocked"),
        ("Video unavailable. This video contains content from X, who has blocked it on copyright grounds", "blocked"),
        ("Join this channel to get access to members-only content", "blocked"),
        ("Sign in to confirm you're not a bot", "failed"),
        ("unable to write data: [Errno 28] No space left on device", "full"),
        ("The read operation timed out", "failed"),
        ("something new", "failed"),
    ],
)
def test_what_is_said_tells_what_became_of_a_video(said, state):
    assert music_download.fate(said) == state
