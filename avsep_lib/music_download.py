"""Fetches the videos of a list with yt-dlp: a few at a time, politely, and on from where it was stopped.

What is gone, private, blocked or too short goes into ``availability.csv`` with its reason, and the rest goes on. Behind
``avsep music download``. Nothing here runs by itself, and no test of it leaves the machine.
"""

import heapq
import io
import os
import random
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import av

from avsep_lib import decoding, files, media, music, music_lists
from avsep_lib.preparation import LEAST_S, NoRoomError
from avsep_lib.settings import StudyError

_FORMAT = "b[ext=mp4][protocol^=http]/(bv[ext=mp4][protocol^=http],ba[ext=m4a][protocol^=http])"  # no ffmpeg needed
_SORT = ["res:360", "vcodec:h264", "acodec:aac"]  # at most 360p, the most of it; more only where there is no less
_RUNTIMES = ("deno", "node", "bun", "quickjs")
_BYTES_PER_VIDEO = 20_000_000  # at 360p, before there are any to measure
_RESERVE_BYTES = 500_000_000
_TRIES, _IN_A_ROW, _LOST_AT_FIRST = 3, 8, 30
_FATES = (  # the first that fits what YouTube says; what fits none has failed and is asked for again
    ("full", r"no space left|disk quota"),
    (
        "failed",
        r"connection|unable to (connect|download)|tunnel|proxy|errno|http error|timed? ?out|requested format|not a bot"
        r"|too many requests|rate.?limit|try again later",
    ),
    ("private", r"private video|video is private"),
    (
        "blocked",
        r"countr|region|geo|confirm your age|age.restrict|inappropriate|members|copyright|blocked|purchase|drm",
    ),
    (
        "gone",
        r"video (is )?unavailable|(video|recording) (is not|isn.t) available|no longer available"
        r"|does not exist|(been|was) (removed|deleted|terminated)|(account|channel) (is |was )?(terminated|closed)"
        r"|closed their",
    ),
)


@dataclass(frozen=True)
class Manners:
    """How to ask: how many at a time, how fast, with what pauses, and as whom."""

    at_a_time: int = 2  # downloads side by side
    bytes_per_s: float = 2_000_000.0  # of all together
    pause_s: float = 4.0  # after each video, and what doubles after each failure
    cookies: str = ""  # a file of cookies, as browsers export it; never changed


class _StoppedError(Exception):
    """Raised inside a download to end it."""


def download(
    video_ids: Sequence[str],
    root: str | Path,
    manners: Manners | None = None,
    *,
    most: int | None = None,
    again: bool = False,
    extractors: Sequence[object] = (),
    progress: Callable[[str, int, int], None] | None = None,
) -> music.Availability:
    """Fetch the videos that are not there yet.

    Parameters
    ----------
    video_ids : sequence of str
        Names on YouTube. One that is none is noted as ``refused`` and never becomes a path or an address.
    root : path of the folder, as ``music`` describes it
    manners : Manners, optional
    most : int, optional
        Ask for no more videos than that.
    again : bool
        Ask again for those that were gone, private, blocked or too short.
    extractors : sequence of yt-dlp InfoExtractor
        Who is asked instead of YouTube; for tests.
    progress : callable, optional
        Called with a label, the videos done and their number.

    Returns
    -------
    Availability
        What became of every video.

    Raises
    ------
    NoRoomError
        If the disk has no room for what is missing, or fills up.
    StudyError
        If yt-dlp or a JavaScript runtime is not there, the cookies are not, or video after video fails, as without a
        network or when YouTube has had enough.

    Notes
    -----
    Stopped or killed, the same call goes on, also within a video (``videos/.part/``).

    It also stops when the first 30 videos that were not known to be lost all turn out gone, private or blocked, for
    then the fault may be the network's. Those 30 are noted, so that the same call goes on with the next; one video that
    comes shows that YouTube can be believed, and this call never stops for it again.
    """
    manners, root = manners or Manners(), Path(root).absolute()
    noted = music.Availability(root)
    there = music.videos_there(root)
    names = list(dict.fromkeys(video_ids))
    for name in names:
        if not music_lists.is_id(name):
            noted.note(name, "refused", "is no name of a video on YouTube")
    wanted = [name for name in music.wanted(names, there, noted, again) if music_lists.is_id(name)][:most]
    if not wanted:
        return noted
    _check_room(len(wanted), there, root)
    fetch = _Fetch(root, manners, extractors, noted)
    _side_by_side(fetch, wanted, manners.at_a_time, progress)
    return noted


def _side_by_side(fetch: "_Fetch", wanted: list[str], at_a_time: int, progress) -> None:
    """Fetch several at a time; what stops one for good stops all."""
    with ThreadPoolExecutor(at_a_time, thread_name_prefix="fetch") as pool:
        waiting = {pool.submit(fetch.one, name) for name in wanted}
        done = 0
        try:
            while waiting:
                finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for future in finished:
                    future.result()
                    done += 1
                    if progress:
                        progress("fetching videos", done, len(wanted))
        except BaseException:
            fetch.stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise


class _Fetch:
    """Fetches one video after the other, in several threads; each has a yt-dlp of its own."""

    def __init__(self, root: Path, manners: Manners, extractors: Sequence[object], noted: music.Availability):
        self.manners, self.extractors, self.noted = manners, extractors, noted
        self.folder, self.part = root / "videos", root / "videos" / ".part"
        self.cookies = _cookies(manners.cookies)
        self.stop, self.lock = threading.Event(), threading.Lock()
        self.in_a_row, self.lost, self.believed = 0, 0, False
        self.yt_dlp = _yt_dlp()
        if not extractors:
            check_runtime()
        self.part.mkdir(parents=True, exist_ok=True)

    def one(self, name: str) -> None:
        """Fetch a video and note what became of it."""
        for attempt in range(_TRIES):
            if self.stop.is_set():
                raise _StoppedError
            state, reason, uploader = self._ask(name)
            if state == "full":
                raise NoRoomError(f"{self.folder}: the disk is full; make room, and the same command goes on")
            if state != "failed":
                break
            if "416" in reason:  # a part that does not fit what the server has now
                _remove(self.part.glob(f"{name}.*"))
            self._pause(name, 2 ** (attempt + 1))
        new = self.noted.state(name) not in music.LOST
        self.noted.note(name, state, reason, uploader)
        self._count(state, reason, new)
        self._pause(name, 1)

    def _pause(self, name: str, times: float) -> None:
        """Wait, not exactly as long for each video; a stop ends it."""
        self.stop.wait(self.manners.pause_s * times * random.Random(name).uniform(0.75, 1.25))

    def _count(self, state: str, reason: str, new: bool) -> None:
        """Give up when video after video fails, or when the first are all lost: the fault is not theirs."""
        with self.lock:
            self.in_a_row = self.in_a_row + 1 if state == "failed" else 0
            self.lost += new and state in music.LOST
            self.believed |= state in ("fetched", "short")
            if self.in_a_row >= _IN_A_ROW:
                raise StudyError(
                    f"{_IN_A_ROW} videos in a row could not be fetched (the last one: {reason}); look at the network, "
                    "wait some hours, or give a browser's cookies with --cookies FILE; the same command then goes on"
                )
            if self.lost >= _LOST_AT_FIRST and not self.believed:
                raise StudyError(
                    f"the first {_LOST_AT_FIRST} videos are all lost (the last one: {reason}); look at some in a "
                    "browser: if they play, mend the network and add --again; if not, the same command then goes on"
                )

    def _ask(self, name: str) -> tuple[str, str, str]:
        """State, reason and uploader of a video; if all is well, its file is in its place."""
        verdict: list[tuple[str, str]] = []
        try:
            with self.yt_dlp.YoutubeDL(self._options(name, verdict), auto_init=False) as ydl:
                for extractor in self.extractors or [self._youtube()]:
                    ydl.add_info_extractor(extractor() if isinstance(extractor, type) else extractor)
                info = ydl.extract_info(f"https://www.youtube.com/watch?v={name}", download=True) or {}
            if verdict:
                return *verdict[0], _uploader(info)
            parts = [Path(one["filepath"]) for one in info.get("requested_downloads", [])]
            _put_together(parts, self.folder / f"{name}.mp4")
            return "fetched", "", _uploader(info)
        except (self.yt_dlp.utils.YoutubeDLError, media.MediaError, OSError) as error:
            if self.stop.is_set():
                raise _StoppedError from None
            reason = _plain(error)
            state = fate(reason)
            if isinstance(error, media.MediaError) and state != "full":  # whose words are ours, and hold any path
                state = "failed"
            return state, reason, ""

    def _youtube(self) -> object:
        from yt_dlp.extractor.youtube import YoutubeIE

        return YoutubeIE

    def _options(self, name: str, verdict: list[tuple[str, str]]) -> dict[str, object]:
        """What yt-dlp is told. Nothing of it comes from what YouTube says."""
        manners = self.manners

        def choose(info: dict, *, incomplete: bool = False) -> str | None:
            if info.get("live_status") in ("is_live", "is_upcoming"):
                verdict.append(("blocked", "is a live stream"))
            elif 0 < (info.get("duration") or 0) < LEAST_S:
                verdict.append(("short", f"lasts {info['duration']:.1f} s, less than {LEAST_S:.0f} s"))
            return "not wanted" if verdict else None

        def look(_: dict) -> None:
            if self.stop.is_set():
                raise _StoppedError

        options = {
            "format": _FORMAT, "format_sort": _SORT, "match_filter": choose, "progress_hooks": [look],
            "paths": {"home": str(self.part)}, "outtmpl": {"default": f"{name}.%(format_id)s.%(ext)s"},
            "restrictfilenames": True, "fixup": "never", "noplaylist": True, "cachedir": str(self.part / "cache"),
            "continuedl": True, "ratelimit": manners.bytes_per_s / manners.at_a_time,
            "retries": 5, "fragment_retries": 5, "extractor_retries": 2, "socket_timeout": 30,
            "retry_sleep_functions": dict.fromkeys(("http", "fragment", "extractor"), self._backing_off),
            "sleep_interval_requests": min(1.0, manners.pause_s), "js_runtimes": {runtime: {} for runtime in _RUNTIMES},
            "logger": _Quiet(), "noprogress": True, "color": {"stdout": "no_color", "stderr": "no_color"},
        }  # fmt: skip
        if self.cookies:  # a copy in memory: yt-dlp would write its own into the file
            options["cookiefile"] = io.StringIO(self.cookies)
        return options

    def _backing_off(self, n: int) -> float:
        """Seconds before the n-th try again."""
        return min(self.manners.pause_s * 2**n, 120)


class _Quiet:
    """Takes what yt-dlp would print; errors come as exceptions."""

    def debug(self, message: str) -> None:
        """Say nothing."""

    info = warning = error = debug


def fate(reason: str) -> str:
    """What became of a video, by what yt-dlp says: one of ``music.STATES``, or ``full`` for the disk."""
    return next((state for state, pattern in _FATES if re.search(pattern, reason, re.IGNORECASE)), "failed")


def check_runtime() -> str:
    """The JavaScript runtime that yt-dlp will use.

    Raises
    ------
    StudyError
        If there is none that is new enough: without one, YouTube gives yt-dlp few videos or none.
    """
    from yt_dlp.globals import supported_js_runtimes

    found = []
    for name in _RUNTIMES:
        info = supported_js_runtimes.value[name]().info
        if info is not None and info.supported:
            return f"{name} {info.version}"
        found += [f"{name} {info.version}"] if info is not None else []
    old = f" ({', '.join(found)} is too old)" if found else ""
    raise StudyError(
        f"yt-dlp needs a JavaScript runtime to read YouTube, and there is none{old}; install deno 2.3 or node 22, or "
        "newer (https://github.com/yt-dlp/yt-dlp/wiki/EJS), and start again"
    )


def _yt_dlp():
    """The library, loaded when it is needed."""
    try:
        import yt_dlp
        import yt_dlp.utils
    except ImportError:
        raise StudyError("yt-dlp is not installed; run: pip install yt-dlp yt-dlp-ejs") from None
    return yt_dlp


def _cookies(path: str) -> str:
    """The content of a file of cookies."""
    if not path:
        return ""
    try:
        text = Path(path).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StudyError(f"{path}: cannot be read as a file of cookies ({error}); export it again") from None
    if "\t" not in text:
        raise StudyError(f"{path}: is no file of cookies in the form of Netscape; export it again from a browser")
    return text


def _plain(error: BaseException) -> str:
    """What yt-dlp says, without its own prefixes and advice."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    text = re.sub(r"^(ERROR: )?(\[[\w:+-]+\] )?([\w-]{11}: )?", "", text).strip()
    return " ".join(re.split(r"\s*(?:; please report|\. Use --cookies|See  https)", text)[0].split())[:300]


def _uploader(info: dict) -> str:
    """Who put a video up: the id of their channel, by which splits can keep them together."""
    return str(info.get("channel_id") or info.get("uploader_id") or "")[:100]


def _put_together(parts: list[Path], target: Path) -> None:
    """Take what was fetched to its place: one file, or pictures and sound that become one."""
    if not parts or not all(path.is_file() for path in parts):
        raise media.MediaError(f"{target.name}: nothing was fetched; there is no format that is small enough")
    try:
        if len(parts) > 1:
            _joined(parts, target)
        else:
            _check(parts[0], target)
            os.replace(parts[0], target)
    except (av.FFmpegError, ValueError) as error:
        _remove(parts)  # else they would be taken for whole, and never fetched again
        raise media.MediaError(str(error)) from None
    _remove(parts)


def _check(path: Path, target: Path) -> None:
    """Refuse what has no pictures or no sound."""
    info = media.probe(path)
    if not info.fps or not info.sample_rate_hz:
        raise media.MediaError(f"{target.name}: came without {'pictures' if not info.fps else 'sound'}")


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _joined(parts: list[Path], target: Path) -> None:
    """Pictures and sound of two files in one, packet by packet: nothing is coded again."""
    with ExitStack() as stack:
        temporary = stack.enter_context(files.atomic(target))
        output = stack.enter_context(av.open(str(temporary), "w", format="mp4"))
        flows = []
        for path, kind in zip(parts, ("video", "audio"), strict=True):
            source = stack.enter_context(decoding.opened(path))
            stream = decoding.track(source, kind)
            if stream is None:
                raise media.MediaError(f"{path}: has no {kind} track; get the file again")
            flows.append(_packets(source, stream, output.add_stream_from_template(stream)))
        for _, packet in heapq.merge(*flows, key=lambda pair: pair[0]):
            output.mux(packet)


def _packets(source, stream, track) -> Iterator[tuple[float, av.Packet]]:
    """The packets of a track in the order of decoding, each with its time, bound for another file."""
    for packet in source.demux(stream):
        if packet.dts is not None:
            time_s = float(packet.dts * packet.time_base)
            packet.stream = track
            yield time_s, packet


def _check_room(count: int, there: dict[str, Path], root: Path) -> None:
    """Refuse to begin what will not fit on the disk."""
    fetched = [path for path in there.values() if path.is_relative_to(root / "videos")]
    sizes = [path.stat().st_size for path in fetched]
    need = count * (sum(sizes) / len(sizes) if len(sizes) > 9 else _BYTES_PER_VIDEO)
    free = files.free_bytes(root)
    if need + _RESERVE_BYTES > free:
        raise NoRoomError(
            f"{root}: {count} videos take about {need / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free; make room, name "
            "another folder with --root, or fetch some with --most N"
        )
