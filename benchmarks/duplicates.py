"""Near-duplicates by fingerprint: how many changed copies are found, how many strangers are taken for copies, how fast.

Copies of rendered solos are made as other uploads would be: coded again, cut, quiet, noisy, dull, played faster,
mirrored, small, dark, cropped. The plain reference holds the marks of each pair of videos against each other.
"""

import io
import itertools
import tempfile
import time
from collections.abc import Callable

import av
import measure
import numpy as np
import pandas as pd
from PIL import Image

from avsep_lib import clips, duplicates, fingerprints, media, rendered
from avsep_lib.fingerprints import Fingerprint
from avsep_lib.settings import from_parameters

ABOUT = "Changed copies that are found among near-duplicates, strangers that are, and the seconds that it takes."
RATE_HZ = fingerprints.SAMPLE_RATE_HZ
EVERY = 6  # of the videos, one has copies


def coded(wave: np.ndarray, form: str, kbps: int) -> np.ndarray:
    """A sound after a lossy codec."""
    file = io.BytesIO()
    with av.open(file, "w", format=form) as container:
        stream = container.add_stream({"mp3": "mp3", "ogg": "libopus"}[form], rate=48_000, layout="mono")
        stream.bit_rate = kbps * 1000
        frame = av.AudioFrame.from_ndarray(wave[None].astype(np.float32), format="fltp", layout="mono")
        frame.sample_rate = RATE_HZ
        resampler = av.AudioResampler("fltp", "mono", 48_000, frame_size=stream.codec_context.frame_size or 960)
        for part in [*resampler.resample(frame), *resampler.resample(None), None]:
            container.mux(stream.encode(part))
    with tempfile.NamedTemporaryFile(suffix=f".{form}") as kept:
        kept.write(file.getvalue())
        kept.flush()
        return media.read_audio(kept.name, RATE_HZ)


def noisy(wave: np.ndarray, snr_db: float) -> np.ndarray:
    """A sound in white noise."""
    power = np.mean(wave**2) / 10 ** (snr_db / 10)
    return wave + np.sqrt(power) * np.random.default_rng(0).standard_normal(len(wave))


def faster(wave: np.ndarray, by: float) -> np.ndarray:
    """A sound that is played a little faster, and so higher."""
    return np.interp(np.arange(0, len(wave), 1 + by), np.arange(len(wave)), wave)


def drawn(frame: np.ndarray, quality: int = 40, width: int = 0, crop: float = 0, gain: float = 1) -> np.ndarray:
    """A picture cropped, scaled, darkened and coded again."""
    image = Image.fromarray(frame)
    sides = np.array(image.size)
    image = image.crop((*(sides * crop).astype(int), *(sides * (1 - crop)).astype(int)))
    image = image.resize((width, width * 9 // 16)) if width else image
    file = io.BytesIO()
    Image.fromarray(np.clip(np.asarray(image) * gain, 0, 255).astype(np.uint8)).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file).convert("RGB"))


SOUNDS: dict[str, Callable] = {
    "MP3, 48 kbit/s": lambda wave: coded(wave, "mp3", 48),
    "Opus, 24 kbit/s": lambda wave: coded(wave, "ogg", 24),
    "second half": lambda wave: wave[len(wave) // 2 + 77 :],
    "26 dB quieter": lambda wave: 0.05 * wave,
    "noise, 20 dB": lambda wave: noisy(wave, 20),
    "noise, 10 dB": lambda wave: noisy(wave, 10),
    "dull": lambda wave: np.convolve(wave, np.ones(6) / 6, "same"),
    "1 % faster": lambda wave: faster(wave, 0.01),
}
PICTURES: dict[str, Callable] = {
    "JPEG, quality 15": lambda frame: drawn(frame, 15),
    "small": lambda frame: drawn(frame, width=96),
    "mirrored": lambda frame: drawn(frame[:, ::-1]),
    "darker": lambda frame: drawn(frame, gain=0.7),
    "2 % cropped": lambda frame: drawn(frame, crop=0.02),
    "5 % cropped": lambda frame: drawn(frame, crop=0.05),
}


def row(found: pd.DataFrame, pairs: int) -> dict[str, float]:
    """How many of some pairs are found, and what they share."""
    return {"pairs": pairs, "found": len(found) / pairs, "median share": found["share"].median() if len(found) else 0}


def copies(kind: str, change: Callable, paths: list[str]) -> dict[str, float]:
    """How many copies are found, each against its own video."""
    tables = []
    for path in paths:
        if kind == "sound":
            wave = media.read_audio(path, RATE_HZ)
            pair = [Fingerprint(fingerprints.of_sound(each)) for each in (wave, change(wave))]
        else:
            frames = list(media.frames_at(path, np.arange(0.5, media.probe(path).duration_s, 1.0), 120))
            seen = [frames, [change(frame) for frame in frames]]
            pair = [Fingerprint(pictures=fingerprints.of_pictures(each)) for each in seen]
        tables.append(duplicates.find(pair))
    return row(pd.concat(tables), len(paths))


def every_pair(prints: list[Fingerprint]) -> int:
    """The plain reference: the marks of each pair, held against each other."""
    found = 0
    for one, other in itertools.combinations(prints, 2):
        _, here, there = np.intersect1d(one.marks[:, 0], other.marks[:, 0], return_indices=True)
        delays = np.unique(other.marks[there, 1] - one.marks[here, 1], return_counts=True)[1]
        found += bool(len(delays)) and delays.max() >= duplicates.LEAST_MARKS
    return found


def seconds(call: Callable, *arguments: object) -> float:
    """Seconds that a call takes."""
    began = time.perf_counter()
    call(*arguments)
    return time.perf_counter() - began


def made_up(count: int) -> list[Fingerprint]:
    """Fingerprints of a minute of sound each."""
    rng = np.random.default_rng(0)
    steps = np.arange(3000)
    return [Fingerprint(np.stack([rng.integers(0, 2**37, len(steps)), steps], axis=1)) for _ in range(count)]


def main() -> None:
    """Measure and report."""
    options = measure.arguments("duplicates", ABOUT)
    with tempfile.TemporaryDirectory() as folder:
        small = {"data_root": folder, "solos_train": 1, "duets": 1, "trios": 0, "quartets": 0}
        settings = from_parameters("smoke", **small) if options.quick else from_parameters("laptop")
        index = clips.choose(clips.read_index(rendered.render(settings)), kind="solo")
        paths, few = list(index.path), list(index.path[:: 12 if options.quick else EVERY])
        rows = {f"sound: {name}": copies("sound", change, few) for name, change in SOUNDS.items()}
        rows |= {f"pictures: {name}": copies("picture", change, few) for name, change in PICTURES.items()}
        prints = fingerprints.of_videos(paths)
    pairs = len(paths) * (len(paths) - 1) // 2
    found = duplicates.find(prints)
    for kind in ("sound", "picture"):
        rows[f"strangers, by {kind}"] = row(found[found.by == kind], pairs)
    many = made_up(100 if options.quick else 20_000)
    plain, ours = seconds(every_pair, many[:400]), seconds(duplicates.by_sound, many[:400])
    measure.report(
        options, pd.DataFrame(rows).T, videos=len(paths), seconds_for_400_videos_plain=round(plain, 2),
        seconds_for_400_videos_ours=round(ours, 3), times_faster=round(plain / ours, 1),
        **{f"seconds_for_{len(many)}_videos_ours": round(seconds(duplicates.by_sound, many), 2)},
    )  # fmt: skip


if __name__ == "__main__":
    main()
