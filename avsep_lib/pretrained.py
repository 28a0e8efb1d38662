"""The separator that comes with the project: an eye that names the players, and an ear that is told who plays.

Its queries are distributions over the C classes, so pictures decide only who is asked for; a name can ask as well.
Axes as in ``separators``, with K = C. Used by ``networks.load_separator``, and so by ``avsep separate``.
"""

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from avsep_lib import components, files, spectra
from avsep_lib.checkpoints import load_state
from avsep_lib.ear import Ear
from avsep_lib.eye import Eye
from avsep_lib.separators import BaseSeparator, checked_mixture, checked_pictures
from avsep_lib.settings import Settings, StudyError, from_parameters, to_dict

WEIGHTS = Path(__file__).parent / "weights" / "ear.safetensors"
_KEPT = (
    "sample_rate_hz", "clip_samples", "n_fft", "hop", "frequency_axis", "log_bins", "fps", "frames_per_clip",
    "frame_spacing", "frame_size_px", "feature_fps", "channels", "audio_levels", "audio_base_channels",
    "audio_time_stride",
)  # fmt: skip
"""Settings that travel with the weights: what an ear is built of, and which pictures are looked at beside it."""
_REST = "server"  # preset of the settings that do not travel, which decide nothing here
_DIFFERENT = 20.0  # how much oftener players of a video have different instruments than two of them the same
_DOUBT = 0.001  # is added to what is told of each class, so that next to nothing seen names nobody surely
_CLEAR = 0.025  # what is told of a class that is as clear as not
_LEAST = 1e-6  # probability of a class that the eye rules out


class Pretrained(BaseSeparator):
    """An eye and an ear.

    Parameters
    ----------
    eye : Eye
    ear : Ear
        Of the same classes.
    """

    def __init__(self, eye: Eye, ear: Ear):
        super().__init__()
        self.settings, self.instruments = ear.settings, list(ear.instruments)
        self.eye, self.ear = eye, ear

    @torch.inference_mode()
    def named(self, frames: Sequence[np.ndarray]) -> np.ndarray:
        """Who is seen.

        Parameters
        ----------
        frames : N uint8 arrays, each of shape (P, H, W, 3)
            Pictures of each source.

        Returns
        -------
        float32 array, shape (N, C)
            Probability of each class, each source by itself. :meth:`separate` chooses for all of them together.

        Raises
        ------
        StudyError
            If shapes or types are not those above.
        """
        return self._probabilities(checked_pictures(frames, self.device)).cpu().numpy()

    def separate_named(self, mixture: np.ndarray, names: Sequence[str]) -> np.ndarray:
        """Waveform of each source of a mixture, told who plays.

        Parameters
        ----------
        mixture : float array, shape (L,)
            At ``sample_rate_hz``, of any length.
        names : N str
            An instrument for each source. Two of one instrument get the same track.

        Returns
        -------
        float32 array, shape (N, L)

        Raises
        ------
        StudyError
            If an instrument is not known, or the mixture has another shape.
        """
        mixture = checked_mixture(mixture)
        if not len(names):
            raise StudyError("names must hold one instrument for each source")
        queries = self._one_hot([self._class(name) for name in names])
        return self.separate_queries(mixture, lambda window: queries)

    def queries_of(self, pictures: Sequence[Tensor]) -> Tensor:
        """What the pictures of N sources ask for, chosen together: each uint8 (P, H, W, 3) -> (N, C)."""
        return self._queries(self._probabilities(pictures))

    def look(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Scores of the classes at each place of pictures (P, C, h, w), and ImageNet's, by which a part is named."""
        logits = self.eye.logits(pictures)
        return self.eye.told(logits.movedim(1, -1)).movedim(-1, 1), logits

    def over_pictures(self, looks: Tensor) -> Tensor:
        """The mean over pictures, so that one bad picture decides nothing: (P, C, h, w) -> (C, h, w)."""
        return looks.mean(0)

    def name(self, named: Tensor, alone: bool = False) -> Tensor:
        """Log probability of each class in a part of some pictures: ImageNet's classes there, (P, 1000, h, w) -> (C,).

        The classes are those of the part as a whole, in each picture, and then the mean over pictures. Chosen on 25
        real duets, of which both names are right in 17 then, and in 7 where the clearest place names a part.
        """
        told = self._told(named, alone) + _DOUBT
        return (told / told.sum()).log()

    def presence(self, named: Tensor) -> Tensor:
        """How clearly each class is seen in a part, as for :meth:`name`: (P, 1000, h, w) -> (C,), a half is clear."""
        told = self._told(named)
        return told / (told + _CLEAR)

    def query(self, looks: Tensor, instrument: str = "") -> Tensor:
        """The query of a part of the picture, (C, h, w) -> (C,): the instrument found there, or what is seen of any."""
        if instrument in self.instruments:
            return self._one_hot([self._class(instrument)])[0]
        scores = looks.amax((-2, -1))
        return scores / scores.sum().clamp_min(1)

    def choose(self, scores: Tensor) -> tuple[int, ...]:
        """Classes of N players together, of their log probabilities (N, C): the likeliest, and rather different ones.

        Two players of one instrument share one track, and are rarer in videos than two of different ones. So a class
        counts for less at each time that it is taken again, but two who are clearly the same stay the same.
        """
        again = math.log(_DIFFERENT) * torch.arange(len(scores))
        costs = again[:, None] - scores.cpu().clamp_min(math.log(_LEAST))[:, None]  # (N, times, C)
        return tuple(int(place) % scores.shape[1] for place in linear_sum_assignment(costs.flatten(1).numpy())[1])

    def masks(self, mixture_spec: Tensor, queries: Tensor, alone: bool = False) -> Tensor:
        """Masks on the linear axis, (B, F, T), (B, N, C) -> (B, N, F, T); a single source leaves what is not its.

        Players who are asked for together also agree on what comes again in the mixture (``components.agreed``).
        """
        if alone or queries.shape[1] == 1:
            return self.ear.masks(mixture_spec, queries, alone=True)
        return components.agreed(spectra.magnitude(mixture_spec), self.ear.masks(mixture_spec, queries))

    def place_masks(self, mixture_spec: Tensor, queries: Tensor) -> tuple[Tensor, str]:
        """Masks of places, and their axis, the linear one: (F, T), (M, C) -> (M, F, T).

        The ear is asked once, for the classes that any of the queries asks for clearly, and each place has a share of
        their masks: that costs as much as few places.
        """
        classes = (queries.amax(0) > 0.5).nonzero().flatten()
        if not len(classes):
            return queries.new_zeros(len(queries), *mixture_spec.shape), "linear"
        asked = self._one_hot(classes.tolist())
        masks = self.ear.masks(mixture_spec[None], asked[None], alone=True)[0]
        return torch.einsum("mc,cft->mft", queries[:, classes], masks), "linear"

    def _told(self, named: Tensor, alone: bool = False) -> Tensor:
        """What the eye's table tells of a part of pictures, (P, 1000, h, w) -> (C,)."""
        return self.eye.told(named.mean((-2, -1)), alone).mean(0)

    def _probabilities(self, pictures: Sequence[Tensor]) -> Tensor:
        """What the eye says of the pictures of each source, (N, C)."""
        return torch.stack([self.eye.probabilities(each) for each in pictures])

    def _queries(self, probabilities: Tensor) -> Tensor:
        """What is asked of the ear where the eye saw this, (N, C): one class for each source."""
        return self._one_hot(self.choose(probabilities.clamp_min(_LEAST).log()))

    def _one_hot(self, classes: Sequence[int]) -> Tensor:
        """Queries of known classes, (N, C)."""
        return F.one_hot(torch.tensor(classes, device=self.device), len(self.instruments)).float()

    def _class(self, name: str) -> int:
        """Place of an instrument in the list of classes."""
        if name not in self.instruments:
            raise StudyError(f"instrument {name!r} is not known; choose from {', '.join(self.instruments)}")
        return self.instruments.index(name)


def load(path: str | Path | None = None, device: str = "cpu") -> Pretrained:
    """Read the weights of an ear that :func:`save` wrote, and give it an eye; no code of the file is executed.

    Parameters
    ----------
    path : str or Path, optional
        By default the weights that come with the project.
    device : str
        ``cpu`` or ``cuda``.

    Returns
    -------
    Pretrained
        In evaluation mode.

    Raises
    ------
    StudyError
        If the file is missing, broken, or of other settings; the message names the field that does not fit.
    """
    path = Path(path or WEIGHTS)
    state, settings, instruments = _read(path)
    ear = Ear(settings, instruments)
    load_state(ear, state, path)
    return Pretrained(Eye(instruments), ear).to(device).eval()


def save(ear: Ear, path: str | Path, precision: torch.dtype = torch.float16) -> None:
    """Write the weights of an ear, its settings and its classes to one safetensors file, atomically.

    Parameters
    ----------
    ear : Ear
    path : str or Path
    precision : dtype
        Of the weights in the file; :func:`load` makes them float32 again. What is one number for each channel, such as
        the statistics of norms, stays float32.
    """
    state = {
        key: value.to(precision) if value.is_floating_point() and value.ndim > 1 else value
        for key, value in ((key, value.detach().cpu().contiguous()) for key, value in ear.state_dict().items())
    }
    settings = {name: value for name, value in to_dict(ear.settings).items() if name in _KEPT}
    with files.atomic(path) as temporary:
        save_file(state, temporary, {"settings": json.dumps(settings), "instruments": json.dumps(ear.instruments)})


def _read(path: Path) -> tuple[dict[str, Tensor], Settings, list[str]]:
    """Weights, settings and classes of a file of weights, checked."""
    if not path.is_file():
        raise StudyError(f"{path}: there are no such weights; `avsep train-ear` makes them")
    try:
        with safe_open(path, "pt") as content:
            names, written = content.keys(), content.metadata() or {}
            state = {name: content.get_tensor(name) for name in names}
    except (SafetensorError, OSError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise StudyError(f"{path}: cannot be read as weights ({reason}); get it again, or train it again") from None
    fields = {name: _parsed(path, written, name, kind) for name, kind in (("settings", dict), ("instruments", list))}
    try:
        settings = from_parameters(_REST, **fields["settings"])
    except StudyError as error:
        raise StudyError(f"{path}: made with other settings than this version knows: {error}") from None
    state = {key: value.float() if value.is_floating_point() else value for key, value in state.items()}
    return state, settings, fields["instruments"]


def _parsed(path: Path, written: dict[str, str], name: str, kind: type) -> object:
    """One field of what is written in a file of weights beside them."""
    try:
        value = json.loads(written.get(name, ""))
    except json.JSONDecodeError:
        value = None
    if not isinstance(value, kind):
        raise StudyError(f"{path}: holds no weights of an ear, it has no {name!r}")
    return value
