"""Videos made ready for training: sound at 11,025 Hz, pictures at 8 a second with a short side of 256 px.

The plain reference does what the scripts of this field do: it decodes all pictures, scales those that it keeps and
writes each as a JPEG file, and the sound as a WAV file, video by video. Ours also looks for silent and still stretches
and takes fingerprints.
"""

import shutil
import tempfile
import time
from pathlib import Path

import av
import made_up
import measure
import numpy as np
import pandas as pd
import soundfile

from avsep_lib import media, preparation

ABOUT = "Seconds, files and megabytes of a few prepared videos, by processes, against JPEG and WAV files."
FPS, RATE_HZ = preparation.FPS, preparation.SAMPLE_RATE_HZ


def films(folder: Path, count: int, seconds: int) -> list[Path]:
    """Made-up videos as YouTube has them: 640 x 360, 25 pictures a second, 44.1 kHz."""
    paths = []
    for number in range(count):
        paths.append(folder / f"film{number}.mp4")
        pictures = (np.asarray(made_up.picture(number, index // 5, 360, 640)) for index in range(seconds * 25))
        sound = np.repeat(made_up.tune(number, seconds), 4)
        media.write_video(paths[-1], pictures, 25, sound, 44_100)
    return paths


def plain(paths: list[Path], folder: Path) -> None:
    """A WAV file and a folder of JPEGs for each video."""
    for path in paths:
        frames = folder / path.stem
        frames.mkdir(parents=True)
        with av.open(path) as container:
            resampler, samples = av.AudioResampler("flt", "mono", RATE_HZ), []
            for frame in container.decode(audio=0):
                samples += [part.to_ndarray()[0] for part in resampler.resample(frame)]
            soundfile.write(folder / f"{path.stem}.wav", np.concatenate(samples), RATE_HZ)
        with av.open(path) as container:
            taken = 0
            for frame in container.decode(video=0):
                if frame.time * FPS >= taken:
                    image = frame.to_image()
                    factor = preparation.SHORT_SIDE_PX / min(image.size)
                    image = image.resize((round(image.width * factor), round(image.height * factor)))
                    image.save(frames / f"{taken + 1:06d}.jpg", quality=90)
                    taken += 1


def ours(paths: list[Path], folder: Path, workers: int) -> None:
    """As ``avsep music prepare`` does it."""
    names = [path.stem for path in paths]
    table = pd.DataFrame({"video_id": names, "path": list(map(str, paths)), "kind": "solo", "instruments": "flute"})
    made = preparation.prepare(table.assign(split="train"), folder, workers, least_s=1)
    if set(made["state"]) != {"usable"}:
        raise ValueError("a video was not prepared")


def main() -> None:
    """Measure and report."""
    options = measure.arguments("preparation", ABOUT)
    count, seconds, turns = (2, 2, 1) if options.quick else (8, 60, 3)
    work = {
        "plain: JPEG and WAV files": lambda paths, folder: plain(paths, folder),
        "ours, in one process": lambda paths, folder: ours(paths, folder, 0),
        "ours, two processes": lambda paths, folder: ours(paths, folder, 2),
    }
    rows: dict[str, dict[str, float]] = {name: {} for name in work}
    taken: dict[str, list[float]] = {name: [] for name in work}
    with tempfile.TemporaryDirectory() as root:
        paths = films(Path(root), count, seconds)
        for _ in range(turns):
            for name, call in work.items():
                began = time.perf_counter()
                call(paths, Path(root) / "made")
                taken[name].append(time.perf_counter() - began)
                written = [path for path in (Path(root) / "made").rglob("*") if path.is_file()]
                rows[name] = {"files": len(written), "MB": sum(path.stat().st_size for path in written) / 1e6}
                shutil.rmtree(Path(root) / "made")
    table = pd.DataFrame(rows).T
    table.insert(0, "seconds", [float(np.median(taken[name])) for name in table.index])
    measure.report(options, measure.with_ratios(table), videos=count, seconds_each=seconds, turns=turns)


if __name__ == "__main__":
    main()
