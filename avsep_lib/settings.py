"""Settings of a run: one frozen dataclass, three presets, and a door that refuses what it does not know.

Units stand in the names (``_hz _s _db _px``); lengths without a unit are counts. Every notebook starts here, through
``runs.start``; nothing else in the study reads a parameter.
"""

import dataclasses
import difflib
import math
from dataclasses import dataclass
from pathlib import Path

PROJECT_ROOT = Path(__file__).resolve().parent.parent

INSTRUMENTS = (
    "accordion", "acoustic_guitar", "cello", "clarinet", "erhu", "flute",
    "saxophone", "trumpet", "tuba", "violin", "xylophone",
)  # fmt: skip
"""The eleven instruments of MUSIC, in the order of every class axis."""
MUSIC_21 = (
    "accordion", "acoustic_guitar", "bagpipe", "banjo", "bassoon", "cello", "clarinet", "congas", "drum",
    "electric_bass", "erhu", "flute", "guzheng", "piano", "pipa", "saxophone", "trumpet", "tuba", "ukulele", "violin",
    "xylophone",
)  # fmt: skip
"""The instruments of MUSIC-21: those that the weights of the project know."""


class StudyError(ValueError):
    """What a user can mend: the message is one line that names the thing and says what to do.

    Names of files may be anything: what is no letter to be printed (a new line, an escape) stands as Python writes it.
    """

    def __init__(self, message: object = ""):
        shown = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(message))
        super().__init__("".join(shown))


@dataclass(frozen=True)
class Settings:
    """Everything that decides the numbers of a run. See ``PRESETS`` for the values of each size.

    References
    ----------
    The defaults are those of the released Sound of Pixels (arXiv:1804.03160); the presets say where they differ.
    """

    preset: str = "laptop"  # size of the run: smoke, laptop, server or published
    dataset: str = "rendered"  # rendered, music, music21, or the path of an index.csv or of a Sound-of-Pixels list
    seed: int = 0  # one number for python, numpy, torch and the workers
    device: str = "auto"  # auto, cpu or cuda
    precision: str = "auto"  # auto, float32 or bfloat16; auto takes bfloat16 where the processor has it
    workers: int = 0  # processes that load data, for each process that trains
    devices: int = 0  # processes that train together on a host, one for each GPU; 0 takes all GPUs, or one process
    nodes: int = 1  # hosts that train together
    out: str = ""  # folder for results, figures and checkpoints; empty is the project
    data_root: str = ""  # folder for rendered videos and cached features; empty is data/ in the project
    shards: str = ""  # folder or URL of shards (docs/scale.md) with what is kept of the videos; empty is none
    real: str = ""  # folder of real clips that notebook 04 scores as well, as in docs/real_clips.md; empty is none

    # Sound and pictures
    sample_rate_hz: int = 11_025
    clip_samples: int = 65_535  # 5.94 s
    n_fft: int = 1022  # 512 bins
    hop: int = 256  # samples between two steps
    frequency_axis: str = "log"  # log or linear
    log_bins: int = 256  # bins after the log-frequency warp
    fps: int = 8  # frames per second read from a video
    frames_per_clip: int = 3
    frame_spacing: int = 24  # frames of 1 / fps between two pictures of a clip: 3 s
    frame_size_px: int = 224  # short side of a frame

    # The rendered data set, per instrument where that makes sense
    instruments: tuple[str, ...] = INSTRUMENTS
    solos_train: int = 40
    solos_validation: int = 5
    solos_test: int = 8
    duets: int = 24  # in all; every one is a test video
    trios: int = 5  # likewise, of three players; none where there are fewer instruments
    quartets: int = 5  # and of four
    video_s: float = 20.0  # length of a rendered video
    video_fps: int = 16
    video_height_px: int = 240
    soundfont: str = ""  # path of an .sf2 file; empty is the one that pretty_midi brings

    # Networks
    backbone: str = "efficientnet_lite0"  # efficientnet_lite0 (frozen, cached) or resnet18 (trained)
    pretrained: bool = True  # ImageNet weights for the backbone
    feature_fps: float = 1.0  # pictures per second whose features are cached, for a frozen backbone
    channels: int = 32  # K, sound channels that a query weighs
    audio_levels: int = 7  # depth of the U-Net
    audio_base_channels: int = 64  # width of its first level
    audio_time_stride: int = 1  # steps that its first level takes as one; 1 as published
    mask: str = "binary"  # what the audio net learns: binary or ratio
    loss: str = "mask"  # what a mask is held against: mask (the ideal one) or magnitude (of the source)
    competing: bool = False  # masks asked for together share each bin; False leaves them independent, as published
    soft_masks: bool = True  # use a predicted binary mask as it is (True) or cut at a half (False)

    # Training the frame net alone
    frame_epochs: int = 10
    frame_batch_size: int = 64
    frame_learning_rate: float = 1.0e-3
    names_first: bool = True  # combined training starts from the frame net that names; the paper did without

    # Training both together
    n_sources: int = 2  # N, videos in a mixture
    different_instruments: bool = False  # in training; False draws any two videos, as published
    augment_pictures: bool = True  # random square and mirror in training, as published; cached features go without
    colour_db: float = 0.0  # standard deviation of a random equaliser on each source in training; 0 as published
    epochs: int = 100
    mixtures_per_epoch: int = 44_800
    batch_size: int = 80  # mixtures of one step, shared out among the processes that train together
    save_every_steps: int = 200  # steps between two saved states of a training within an epoch
    optimizer: str = "sgd"  # sgd (as published) or adamw (with warm-up and cosine)
    learning_rate: float = 1.0e-3
    trunk_learning_rate: float = 1.0e-4  # of a trained, pretrained backbone
    weight_decay: float = 1.0e-4
    decay_epochs: tuple[int, ...] = (40, 80)  # sgd: the rate falls to a tenth after each

    # Training the semantic net, which has no pictures to ask with
    semantic_loss: str = "cross_entropy"  # cross_entropy (against each class's share) or bce (a binary mask each)
    background_threshold: float = 0.2  # bins where no class is as probable as this are background

    # Evaluation
    validation_mixtures: int = 256
    test_mixtures: int = 256
    other_mixtures: int = 64  # of 3, of 4, and of two of the same instrument: each reported apart
    nmf_components: int = 16  # per instrument
    rivals: str = "main"  # what notebook 04 trains to compare with, if it is not yet trained: none, main or all
    metric: str = "mir_eval"  # SDR, SIR and SAR by mir_eval (the reference) or fast (the same within 0.01 dB)

    @property
    def clip_s(self) -> float:
        """Length of a clip in seconds."""
        return self.clip_samples / self.sample_rate_hz

    @property
    def steps(self) -> int:
        """Steps T of a clip's spectrogram."""
        return self.clip_samples // self.hop + 1

    @property
    def bins(self) -> int:
        """Bins F of the axis that the audio net sees."""
        return self.log_bins if self.frequency_axis == "log" else self.n_fft // 2 + 1

    @property
    def out_root(self) -> Path:
        """Folder that holds ``results/``, ``figures/`` and ``checkpoints/``."""
        return Path(self.out).expanduser().resolve() if self.out else PROJECT_ROOT

    @property
    def data_folder(self) -> Path:
        """Folder of the rendered videos and of cached features."""
        return Path(self.data_root).expanduser().resolve() if self.data_root else PROJECT_ROOT / "data"


PRESETS: dict[str, dict[str, object]] = {
    # Minutes to seconds: does everything run? Its scores mean nothing.
    "smoke": {
        "instruments": ("acoustic_guitar", "flute", "tuba", "xylophone"),
        "solos_train": 3, "solos_validation": 1, "solos_test": 2, "duets": 2, "trios": 1, "quartets": 1, "video_s": 4.0,
        "clip_samples": 16_383, "log_bins": 64, "frame_spacing": 8, "frames_per_clip": 2, "frame_size_px": 96,
        "channels": 8, "audio_levels": 4, "audio_base_channels": 8, "audio_time_stride": 2,
        "mask": "ratio", "loss": "magnitude", "competing": True, "different_instruments": True,
        "frame_epochs": 6, "frame_batch_size": 8, "frame_learning_rate": 1.0e-2,
        "epochs": 2, "mixtures_per_epoch": 32, "batch_size": 8, "optimizer": "adamw", "learning_rate": 3.0e-3,
        "validation_mixtures": 4, "test_mixtures": 6, "other_mixtures": 2, "nmf_components": 4, "metric": "fast",
        "rivals": "all",
    },
    # The default: all of the study on two cores within a quarter of an hour.
    "laptop": {
        "solos_train": 24, "solos_validation": 2, "solos_test": 4, "duets": 12, "trios": 4, "quartets": 4,
        "video_s": 6.0, "video_fps": 10,
        "clip_samples": 32_767, "log_bins": 128, "frame_spacing": 16, "feature_fps": 0.5,
        "channels": 16, "audio_levels": 6, "audio_base_channels": 20, "audio_time_stride": 2,
        "mask": "ratio", "loss": "magnitude", "competing": True, "different_instruments": True,
        "frame_epochs": 10, "frame_learning_rate": 1.0e-2, "colour_db": 5.0, "weight_decay": 1.0e-2,
        "epochs": 8, "mixtures_per_epoch": 1200, "batch_size": 16, "optimizer": "adamw", "learning_rate": 2.0e-3,
        "validation_mixtures": 32, "test_mixtures": 60, "other_mixtures": 8,
        "metric": "fast",
    },
    # Ours at the published sizes, on a GPU.
    "server": {
        "workers": 8, "audio_time_stride": 2, "mask": "ratio", "loss": "magnitude", "competing": True,
        "different_instruments": True, "colour_db": 5.0, "optimizer": "adamw", "weight_decay": 1.0e-2,
    },
    # The ear whose weights come with the project, on the sound bank: an hour or two on two cores.
    "ear": {
        "dataset": "bank", "instruments": MUSIC_21, "channels": 16, "audio_base_channels": 32, "audio_time_stride": 2,
        "mask": "ratio", "loss": "magnitude", "competing": True, "different_instruments": True, "colour_db": 4.0,
        "epochs": 20, "mixtures_per_epoch": 2400, "batch_size": 16, "optimizer": "adamw", "learning_rate": 2.0e-3,
        "weight_decay": 1.0e-2, "validation_mixtures": 192, "save_every_steps": 50, "rivals": "none",
    },
    # The Sound of Pixels as published, on a GPU.
    "published": {"workers": 8, "backbone": "resnet18", "names_first": False, "soft_masks": False, "rivals": "none"},
}  # fmt: skip
STUDIES = tuple(name for name, preset in PRESETS.items() if preset.get("dataset") != "bank")
"""Presets that the notebooks can run; the others train on the sound bank."""

_CHOICES = {
    "preset": tuple(PRESETS),
    "device": ("auto", "cpu", "cuda"),
    "precision": ("auto", "float32", "bfloat16"),
    "frequency_axis": ("log", "linear"),
    "backbone": ("efficientnet_lite0", "resnet18"),
    "mask": ("binary", "ratio"),
    "loss": ("mask", "magnitude"),
    "rivals": ("none", "main", "all"),
    "optimizer": ("sgd", "adamw"),
    "semantic_loss": ("cross_entropy", "bce"),
    "metric": ("mir_eval", "fast"),
}


def from_parameters(preset: str = "laptop", **parameters: object) -> Settings:
    """Settings of a preset with some values replaced, or one clear line that says what is wrong.

    Parameters
    ----------
    preset : str
        ``smoke``, ``laptop``, ``server`` or ``published``.
    **parameters
        Fields of :class:`Settings`. Lists stand for tuples, and text for numbers and truth values where it can
        only mean that: papermill and YAML hand over ``"false"`` and ``"1e-3"`` as text.

    Raises
    ------
    StudyError
        For an unknown name (with the nearest known one), a wrong type, or values that do not go together.

    Examples
    --------
    >>> from_parameters("smoke", seed=3).seed
    3
    """
    if preset not in tuple(PRESETS):
        raise StudyError(f"preset {preset!r} is not known; choose one of {', '.join(PRESETS)}")
    known = {item.name: item for item in dataclasses.fields(Settings)}
    for name in parameters:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else "; avsep_lib/settings.py lists the known ones"
            raise StudyError(f"parameter {name!r} is not known{hint}")
    typed = {name: _typed(name, value, getattr(Settings, name)) for name, value in parameters.items()}
    settings = Settings(**{"preset": preset, **PRESETS[preset], **typed})
    _check(settings)
    return settings


def to_dict(settings: Settings) -> dict[str, object]:
    """Settings as plain JSON values; ``from_parameters(**to_dict(s))`` gives them back."""
    return {name: list(v) if isinstance(v, tuple) else v for name, v in dataclasses.asdict(settings).items()}


def parse_assignments(assignments: list[str]) -> dict[str, str]:
    """``["epochs=3", "mask=ratio"]`` of a command line as ``{"epochs": "3", "mask": "ratio"}``."""
    pairs = {}
    for text in assignments:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise StudyError(f"--set {text!r} is not of the form name=value")
        pairs[name.strip()] = value.strip()
    return pairs


def _typed(name: str, value: object, default: object) -> object:
    """Value in the type of the field's default, without guessing."""
    if isinstance(default, tuple):
        items = value.split(",") if isinstance(value, str) else value
        if not isinstance(items, (list, tuple)) or not items:
            raise StudyError(f"parameter {name!r} must be a list, not {value!r}")
        return tuple(_typed(name, item.strip() if isinstance(item, str) else item, default[0]) for item in items)
    if isinstance(default, bool):
        answers = {"true": True, "false": False}
        value = answers.get(value.lower(), value) if isinstance(value, str) else value
    elif isinstance(default, (int, float)) and isinstance(value, str):
        value = _number(value)
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not type(default):
        raise StudyError(f"parameter {name!r} must be of type {type(default).__name__}, not {value!r}")
    return value


def _number(text: str) -> object:
    """The int or float that a text spells, or the text itself."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _check(settings: Settings) -> None:
    """Refuse values that are out of range or do not go together."""
    for name, choices in _CHOICES.items():
        if getattr(settings, name) not in choices:
            raise StudyError(f"{name} {getattr(settings, name)!r} is not known; choose one of {', '.join(choices)}")
    for name, value in dataclasses.asdict(settings).items():
        if isinstance(value, float) and not math.isfinite(value):
            raise StudyError(f"{name} must be a finite number, not {value}")
        if isinstance(value, (int, float)) and name not in _MAY_BE_ZERO and value <= 0:
            raise StudyError(f"{name} must be above 0, not {value}")
        if isinstance(value, (int, float)) and value < 0:
            raise StudyError(f"{name} must not be negative, not {value}")
    unknown = set(settings.instruments) - set(INSTRUMENTS)
    if settings.dataset == "rendered" and unknown:
        raise StudyError(
            f"instruments: {sorted(unknown)[0]!r} cannot be rendered; choose from {', '.join(INSTRUMENTS)}"
        )
    if len(set(settings.instruments)) < len(settings.instruments):
        raise StudyError(f"instruments names one twice: {', '.join(settings.instruments)}")
    if not 2 <= settings.n_sources <= 4:
        raise StudyError(f"n_sources must be 2, 3 or 4, not {settings.n_sources}")
    if settings.n_sources > len(settings.instruments):
        raise StudyError(
            f"n_sources {settings.n_sources} needs as many different instruments, not {len(settings.instruments)}"
        )
    if settings.background_threshold >= 1:
        raise StudyError(f"background_threshold must be below 1, not {settings.background_threshold}")
    if settings.batch_size > settings.mixtures_per_epoch:
        raise StudyError(
            f"batch_size {settings.batch_size} is larger than mixtures_per_epoch {settings.mixtures_per_epoch}"
        )
    if 2 * settings.hop > settings.n_fft:
        raise StudyError(f"hop {settings.hop} must be at most half of n_fft {settings.n_fft}, or no sound comes back")
    if settings.nmf_components < 4:
        raise StudyError(f"nmf_components must be 4 or more, one for each source, not {settings.nmf_components}")
    multiple, bins = 2**settings.audio_levels, "log_bins" if settings.frequency_axis == "log" else "n_fft // 2 + 1"
    if settings.bins % multiple:
        raise StudyError(
            f"{bins} is {settings.bins}, but audio_levels {settings.audio_levels} needs a multiple of {multiple}"
        )
    whole = multiple * settings.audio_time_stride
    if settings.steps % whole:
        raise StudyError(
            f"clip_samples // hop + 1 is {settings.steps}, but audio_levels {settings.audio_levels} with "
            f"audio_time_stride {settings.audio_time_stride} needs a multiple of {whole}"
        )
    shortest = settings.clip_s + 0.5
    if settings.dataset == "rendered" and settings.video_s < shortest:
        raise StudyError(
            f"video_s {settings.video_s} is too short for clips of {settings.clip_s:.2f} s; set {shortest:.1f} or more"
        )


_MAY_BE_ZERO = {
    "seed", "workers", "devices", "duets", "trios", "quartets", "names_first", "augment_pictures", "pretrained",
    "soft_masks",
    "weight_decay", "decay_epochs", "trunk_learning_rate", "different_instruments", "colour_db", "competing",
    "background_threshold",
}  # fmt: skip
