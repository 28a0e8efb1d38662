"""Files that are broken in many ways, made from a seed: what people's folders hold, and what somebody may plant."""

import io
import struct
import wave
import zipfile
import zlib
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import soundfile
from PIL import Image

RATE_HZ = 11_025
SECONDS = 7
FPS = 8
CONTAINERS = {"mp4": ("libx264", "aac"), "mkv": ("libx264", "flac"), "avi": ("mjpeg", "pcm_s16le"),
              "ts": ("mpeg2video", "mp2"), "webm": ("libvpx", "libopus"), "mov": ("mpeg4", "pcm_s16le")}  # fmt: skip
RATES_HZ = {"mp2": 32_000, "libopus": 48_000}
NAMES = (
    "../../../outside", "-rf", "a;touch pwned", "$(touch pwned)", "`touch pwned`", "a\nb", "a\tb", 'quote"d', "it's",
    "per%cent %s%n", "http:--example", "concat:a|b", "x" * 200, "ünïcödé", "\u202emp4.exe", "名前", "a,b", "#hash?x=1",
    "~", "..", "...", " ", "CON", "a:b", "*", "[a]", "{b}", "a\\..\\b", "\x1b[2J", "=1+1",
)  # fmt: skip


def good(kind: str, folder: Path, seed: int = 0, sound: bool = True, pictures: bool = True) -> Path:
    """A small video of a moving bar and a tone, in one of ``CONTAINERS``."""
    video, audio = CONTAINERS[kind]
    rng = np.random.default_rng(seed)
    path = folder / f"good-{seed}-{int(sound)}{int(pictures)}.{kind}"
    rate = RATES_HZ.get(audio, RATE_HZ)
    with av.open(str(path), "w") as container:
        tracks = []
        if pictures:
            shown = container.add_stream(video, rate=25 if video == "mpeg2video" else FPS)
            shown.width, shown.height = 64, 48
            shown.pix_fmt = "yuvj420p" if video == "mjpeg" else "yuv420p"
            shown.codec_context.thread_count = 1
            tracks.append(shown)
        if sound:
            heard = container.add_stream(audio, rate=rate, layout="mono")
            tracks.append(heard)
        if pictures:
            for n in range(SECONDS * int(shown.codec_context.framerate or FPS)):
                picture = np.full((48, 64, 3), 40, np.uint8)
                picture[:, n % 60 : n % 60 + 4] = rng.integers(100, 255)
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=shown.pix_fmt)
                frame.pts, frame.time_base = n, 1 / Fraction(shown.codec_context.framerate or FPS)
                container.mux(shown.encode(frame))
        if sound:
            tone = 0.3 * np.sin(np.arange(SECONDS * rate) * rng.uniform(0.1, 0.3)).astype(np.float32)
            frame = av.AudioFrame.from_ndarray(tone[None], format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
            resampler = av.AudioResampler(heard.codec_context.format, "mono", rate, frame_size=heard.frame_size or None)
            for piece in [*resampler.resample(frame), *resampler.resample(None)]:
                container.mux(heard.encode(piece))
        for track in tracks:
            container.mux(track.encode(None))
    return path


class Breaker:
    """Makes broken files, one after the other; number ``n`` of a seed is always the same.

    Parameters
    ----------
    folder : Path
        Where the files go; what they are made of lies in a folder of its own.
    seed : int
    """

    def __init__(self, folder: Path, seed: int = 0):
        self.folder, self.seed = folder, seed
        parts = folder.parent / "parts"
        parts.mkdir(parents=True, exist_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
        self.whole = [good(kind, parts).read_bytes() for kind in CONTAINERS]
        self.suffixes = list(CONTAINERS)
        self.mute = good("mp4", parts, sound=False).read_bytes()
        self.blind = good("mov", parts, pictures=False).read_bytes()
        self.bomb = bomb(16_000)
        self.ways = [
            self.cut,
            self.flipped,
            self.header,
            self.zeroed,
            self.swapped,
            self.renamed,
            self.patched,
            self.odd,
        ]

    def make(self, number: int) -> tuple[str, Path]:
        """What was done, and the file."""
        rng = np.random.default_rng([self.seed, number])
        way = self.ways[number % len(self.ways)]
        which = int(rng.integers(len(self.whole)))
        suffix, content = self.suffixes[which], bytearray(self.whole[which])
        done, suffix, content = way(rng, suffix, content)
        name = str(rng.choice(NAMES)).replace("/", "_") if rng.random() < 0.3 else "broken"
        path = self.folder / f"{number:05d}{name}.{suffix}"
        path.write_bytes(bytes(content))
        return done, path

    def cut(self, rng, suffix, content):
        keep = 0 if rng.random() < 0.1 else int(len(content) * rng.random() ** 2)
        return f"cut to {keep}", suffix, content[:keep]

    def flipped(self, rng, suffix, content):
        for place in rng.integers(len(content), size=int(rng.choice([1, 10, 100, 1000]))):
            content[place] ^= 1 << int(rng.integers(8))
        return "bits flipped", suffix, content

    def header(self, rng, suffix, content):
        """Bits flipped where the layout stands: in front, or in the boxes behind the pictures of an MP4."""
        end = bool(rng.integers(2))
        for place in rng.integers(min(len(content), 2000), size=int(rng.choice([1, 5, 30]))):
            content[-1 - place if end else place] = int(rng.integers(256))
        return f"header of {suffix} overwritten", suffix, content

    def zeroed(self, rng, suffix, content):
        begin = int(rng.integers(len(content)))
        end = min(len(content), begin + int(rng.integers(1, len(content))))
        content[begin:end] = bytes(end - begin) if rng.integers(2) else rng.bytes(end - begin)
        return "a part overwritten", suffix, content

    def swapped(self, rng, suffix, content):
        a, b, c = sorted(int(x) for x in rng.integers(len(content), size=3))
        return "parts swapped", suffix, content[:a] + content[b:c] + content[a:b] + content[c:]

    def renamed(self, rng, suffix, content):
        """Something else under the name of a video."""
        picture = io.BytesIO()
        Image.new("RGB", (30, 20)).save(picture, "PNG" if rng.integers(2) else "JPEG")
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("a.mp4", bytes(content[:1000]))
        others = {
            "text": b"this is no video\n" * 50, "page": b"<!DOCTYPE html><html>Video unavailable</html>",
            "picture": picture.getvalue(), "archive": archive.getvalue(), "noise": rng.bytes(5000),
            "playlist": b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n",
            "local playlist": b"#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
            "concat": b"ffconcat version 1.0\nfile '/etc/passwd'\nfile '../parts/good-0-11.mp4'\n",
            "sdp": b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"
                   b"a=rtpmap:96 H264/90000\n",
            "subtitles": b"1\n00:00:01,000 --> 00:00:02,000\nhello\n", "null bytes": bytes(4000),
            "silent film": self.mute, "sound alone": self.blind,
            "another suffix": bytes(self.whole[int(rng.integers(len(self.whole)))]),
        }  # fmt: skip
        what = str(rng.choice(list(others)))
        return what, suffix, others[what]

    def patched(self, rng, suffix, content):
        """One field of an MP4's header set to something impossible."""
        content = bytearray(self.whole[0])
        box, offset, size = [
            (b"mvhd", 16, 4), (b"mvhd", 20, 4), (b"mdhd", 16, 4), (b"mdhd", 20, 4), (b"tkhd", 80, 8), (b"avc1", 28, 4),
            (b"stts", 8, 12), (b"stsz", 8, 8), (b"stsc", 8, 12), (b"stco", 8, 8), (b"mp4a", 20, 8), (b"mp4a", 28, 4),
            (b"avcC", 8, 30), (b"esds", 10, 30), (b"elst", 8, 12), (b"stsd", 4, 8),
        ][int(rng.integers(16))]  # fmt: skip
        places = [i for i in range(len(content) - 4) if content[i : i + 4] == box]
        value = [
            bytes(size),
            b"\xff" * size,
            b"\x7f" + b"\xff" * (size - 1),
            b"\0" * (size - 1) + b"\1",
            rng.bytes(size),
        ]
        for place in places:
            content[place + offset : place + offset + size] = value[int(rng.integers(5))]
        return f"{box.decode()} patched", "mp4", content

    def odd(self, rng, suffix, content):
        """Formats whose headers promise what no memory holds, or no clock."""
        side, small = int(rng.choice([16_000, 32_767, 65_500])), int(rng.choice([1, 2, 100]))
        made = {
            "a huge AVI": ("avi", avi(side, side)), "a wide AVI": ("avi", avi(side, small)),
            "a tall AVI": ("avi", avi(small, side)), "an AVI without a clock": ("avi", avi(64, 48, rate=0)),
            "a bomb": ("avi", avi(64, 48, codec=b"MPNG", content=self.bomb)), "a bomb alone": ("mp4", self.bomb),
            "a huge JPEG": ("avi", avi(64, 48, codec=b"MJPG", content=huge_jpeg(side))),
            "a slow WAV": ("wav", wav(int(rng.choice([1, 2, 50])), 1)),
            "a quick WAV": ("wav", wav(int(rng.choice([2**31 - 1, 2**32 - 1, 10_000_000])), 1)),
            "many channels": ("wav", wav(11_025, int(rng.choice([255, 65_535])))),
            "an endless WAV": ("wav", wav(11_025, 1, promised=0xFFFFFFFF)),
            "NaN": ("wav", not_numbers()), "a short one": ("wav", tone(0.5)), "silence": ("wav", tone(7, 0.0)),
            "nothing": ("mp4", b""), "a byte": ("mp4", b"\0"),
        }  # fmt: skip
        what = str(rng.choice(list(made)))
        return what, *made[what]


def avi(width: int, height: int, rate: int = 8, codec: bytes = b"DIB ", content: bytes = bytes(64 * 48 * 3)) -> bytes:
    """An AVI file of ten pictures whose header may say anything."""
    chunk = lambda name, data: name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)  # noqa: E731
    lists = lambda name, data: chunk(b"LIST", name + data)  # noqa: E731
    main = struct.pack("<14I", 125_000, 0, 0, 0x10, 10, 0, 1, 0, width, height, 0, 0, 0, 0)
    head = b"vids" + codec + struct.pack("<11I", 0, 0, 0, 1, rate, 0, 10, 0, 0, 0, 0) + struct.pack("<I", 0)[:0]
    head += struct.pack("<4H", 0, 0, min(width, 65_535), min(height, 65_535))
    kind = 0 if codec == b"DIB " else int.from_bytes(codec, "little")
    look = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, kind, 0, 0, 0, 0, 0)
    stream = lists(b"strl", chunk(b"strh", head) + chunk(b"strf", look))
    movie = lists(b"movi", b"".join(chunk(b"00dc", content) for _ in range(10)))
    return chunk(b"RIFF", b"AVI " + lists(b"hdrl", chunk(b"avih", main) + stream) + movie)


def bomb(side: int) -> bytes:
    """A whole and valid PNG of a single grey that fills ``side * side`` bytes of memory."""
    squeeze = zlib.compressobj(1)
    rows = bytes(side + 1)
    squeezed = b"".join([*(squeeze.compress(rows) for _ in range(side)), squeeze.flush()])
    chunk = lambda name, data: (  # noqa: E731
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    )
    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", squeezed) + chunk(b"IEND", b"")


def huge_jpeg(side: int) -> bytes:
    """A JPEG whose header promises a side of thousands of pixels."""
    file = io.BytesIO()
    Image.new("RGB", (64, 48)).save(file, "JPEG")
    content = bytearray(file.getvalue())
    place = content.index(b"\xff\xc0") + 5
    content[place : place + 4] = struct.pack(">HH", side, side)
    return bytes(content)


def wav(rate: int, channels: int, promised: int | None = None) -> bytes:
    """A WAV file of 20,000 bytes of sound whose header may say anything."""
    size = 20_000 if promised is None else promised
    layout = struct.pack("<HHIIHH", 1, channels, rate, min(rate * channels * 2, 2**32 - 1), channels * 2 % 65_536, 16)
    head = b"WAVEfmt " + struct.pack("<I", 16) + layout + b"data" + struct.pack("<I", size)
    return b"RIFF" + struct.pack("<I", min(size + 36, 2**32 - 1)) + head + bytes(range(1, 251)) * 80


def tone(seconds: float, loud: float = 0.3) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setparams((1, 2, RATE_HZ, 0, "NONE", ""))
        out.writeframes((loud * 32_000 * np.sin(np.arange(int(seconds * RATE_HZ)) / 5)).astype("<i2").tobytes())
    return file.getvalue()


def not_numbers() -> bytes:
    file = io.BytesIO()
    sound = np.sin(np.arange(SECONDS * RATE_HZ) / 5)
    sound[::100] = np.nan
    sound[50::100] = np.inf
    soundfile.write(file, sound, RATE_HZ, format="WAV", subtype="FLOAT")
    return file.getvalue()
