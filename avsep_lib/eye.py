"""The eye: from pictures of players to instruments, by ImageNet's classes and what is known about instruments.

Nothing here is trained. A frozen EfficientNet-Lite0 says how much a picture looks like each of ImageNet's 1000 classes,
and ``EVIDENCE``, a table written by hand, says what each of them tells about an instrument. Pictures are uint8
(P, H, W, 3), C is the number of instruments. Used by ``pretrained``, and so by ``avsep separate``.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avsep_lib.backbones import Backbone, imagenet_head
from avsep_lib.settings import MUSIC_21, StudyError

EVIDENCE: dict[str, dict[str, float]] = {
    "accordion": {"accordion": 1.0},
    "acoustic_guitar": {"acoustic guitar": 1.0, "pick": 0.5, "electric guitar": 0.3},
    "bagpipe": {"bearskin": 0.5, "panpipe": 0.2},  # the bearskin caps of pipe bands
    "banjo": {"banjo": 1.0},
    "bassoon": {"bassoon": 1.0},
    "cello": {"cello": 1.0},
    "clarinet": {"oboe": 1.0},  # black, with silver keys, held downwards
    "congas": {"drum": 0.3, "steel drum": 0.3, "barrel": 0.3},
    "drum": {"drum": 1.0, "drumstick": 0.5, "gong": 0.3, "steel drum": 0.3},
    "electric_bass": {"electric guitar": 0.5},
    "erhu": {"bow": 2.0, "harp": 0.3, "drumstick": 0.3},  # neck and stick look like an archer's bow
    "flute": {"flute": 1.0, "whistle": 0.3, "ocarina": 0.3},
    "guzheng": {"harp": 0.3},
    "piano": {"grand piano": 0.3, "upright": 0.3},  # furniture: it stands behind many who play others
    "pipa": {"banjo": 0.3},
    "saxophone": {"sax": 1.0},
    "trumpet": {"cornet": 1.0, "trombone": 0.5},
    # a big shiny vessel
    "tuba": {"French horn": 4.0, "trombone": 0.3, "coffeepot": 0.5, "water jug": 0.5, "pitcher": 0.5},
    "ukulele": {"acoustic guitar": 0.2, "banjo": 0.2},
    "violin": {"violin": 1.0},
    "xylophone": {"marimba": 1.0, "organ": 0.5, "chime": 0.5},  # resonators hang in a row like the pipes of an organ
}
"""What each of ImageNet's classes tells about an instrument: instrument -> class -> weight. Chosen on real clips."""
UNSEEN = {"erhu": 0.03, "tuba": 0.01}
"""What is added to instruments that hardly look like any of ImageNet's classes: they are left where nothing is told."""

_UNSEEN = 0.001  # what is added to all others
_SIZE_PX = 224  # the side of the pictures that the net learned
_WIDE_PX = 320  # the side of those in which places are told apart
_LONGEST = 4.0  # sides of a picture have this ratio at most; longer ones are squeezed
_STRIDE = 32  # pixels of a place
_LONG = 1.2  # sides of a picture whose ratio is larger: it is seen in two squares as well
_AT_ONCE = 16  # pictures that are seen at once, which bounds the memory


class Eye(nn.Module):
    """Names the instrument in pictures, and says where it is; frozen, and a function of the pictures alone.

    Each picture is squeezed to the square that the net knows, and seen as it is and mirrored; a long one is also seen
    in two squares, one at each end. The probabilities of ImageNet's classes are averaged over all of that and over the
    pictures, and summed with the weights of ``EVIDENCE``. ``UNSEEN`` is added, and all is brought to a sum of one.

    Parameters
    ----------
    instruments : sequence of str
        The classes, in the order of the class axis; any of ``settings.MUSIC_21``.

    Raises
    ------
    StudyError
        If an instrument is none of ``settings.MUSIC_21``.
    """

    def __init__(self, instruments: Sequence[str] = MUSIC_21):
        super().__init__()
        self.instruments = tuple(instruments)
        strange = [name for name in self.instruments if name not in EVIDENCE]
        if strange or not self.instruments:
            what = f"does not know {', '.join(strange)}" if strange else "has no instruments"
            raise StudyError(f"the eye {what}; choose from {', '.join(EVIDENCE)}")
        self.backbone, self.head = Backbone("efficientnet_lite0"), imagenet_head()
        self.register_buffer("weights", _weights(self.instruments), persistent=False)  # (C, 1000)
        unseen = [UNSEEN.get(name, _UNSEEN) for name in self.instruments]
        self.register_buffer("unseen", torch.tensor(unseen), persistent=False)
        self.eval()

    @torch.no_grad()
    def probabilities(self, pictures: Tensor) -> Tensor:
        """How probable each instrument is, given all pictures of one source.

        Parameters
        ----------
        pictures : uint8 Tensor (P, H, W, 3)
            At least one picture, of any size.

        Returns
        -------
        float32 Tensor (C,)
            Probabilities, which sum to one.

        Raises
        ------
        ValueError
            If ``pictures`` have another shape or type.
        """
        seen = []
        for part in _checked(pictures, self.unseen.device).split(_AT_ONCE):
            views = _views(part)  # (V, P, H, W, 3)
            features = self.backbone(views.flatten(0, 1)).mean((2, 3))  # (V * P, 1280)
            seen.append(self.head(features).softmax(-1).unflatten(0, views.shape[:2]).mean(0))
        told = self.weights @ torch.cat(seen).mean(0) + self.unseen
        return told / told.sum()

    @torch.no_grad()
    def logits(self, pictures: Tensor) -> Tensor:
        """How much each place of each picture looks like each of ImageNet's classes.

        The head behind the pooling is linear, so it can be asked at each place instead, and the mean over the places of
        a part of the picture is what the head says of that part. Pictures are seen as they are and mirrored, squeezed
        to a square larger than the one that the net learned: two players are smaller than one. So places divide height
        and width by 10 whatever the picture's shape.

        Parameters
        ----------
        pictures : uint8 Tensor (P, H, W, 3)
            Pictures of any size.

        Returns
        -------
        float32 Tensor (P, 1000, 10, 10)

        Raises
        ------
        ValueError
            If ``pictures`` have another shape or type.
        """
        seen = []
        for part in _checked(pictures, self.unseen.device).split(_AT_ONCE):
            whole = _resized(part, *_wide(*part.shape[1:3]))
            features = (self.backbone(whole) + self.backbone(whole.flip(2)).flip(3)) / 2
            seen.append(self.head(features.permute(0, 2, 3, 1)).permute(0, 3, 1, 2))
        return torch.cat(seen)

    @torch.no_grad()
    def told(self, logits: Tensor, alone: bool = False) -> Tensor:
        """What the table tells of ImageNet's classes: (..., 1000) -> (..., C).

        From 0 to 1, not a distribution: low for all instruments where none is seen. No weight counts for more than
        one, but where somebody is ``alone``: the larger ones lift instruments that hardly look like any class, and
        those would be seen everywhere beside another player.
        """
        weights = self.weights if alone else self.weights.clamp(max=1)
        return (logits.softmax(-1) @ weights.T).clamp(max=1)


def imagenet_classes() -> list[str]:
    """Names of ImageNet's 1000 classes, in the order of the logits of ``backbones.imagenet_head``."""
    from torchvision.models import ResNet18_Weights

    return ResNet18_Weights.IMAGENET1K_V1.meta["categories"]


def _weights(instruments: Sequence[str]) -> Tensor:
    """``EVIDENCE`` as a matrix (C, 1000)."""
    place = {name: index for index, name in enumerate(imagenet_classes())}
    weights = torch.zeros(len(instruments), len(place))
    for row, instrument in zip(weights, instruments, strict=True):
        for name, weight in EVIDENCE[instrument].items():
            row[place[name]] = weight
    return weights


def _checked(pictures: Tensor, device: torch.device) -> Tensor:
    """The same pictures on the eye's device."""
    if pictures.dtype != torch.uint8 or pictures.ndim != 4 or pictures.shape[-1] != 3 or not pictures.numel():
        raise ValueError(f"pictures are {pictures.dtype} {tuple(pictures.shape)}, not uint8 (P, H, W, 3)")
    return pictures.to(device)


def _views(pictures: Tensor) -> Tensor:
    """What is seen of each picture: (P, H, W, 3) -> (V, P, 224, 224, 3)."""
    height, width = pictures.shape[1:3]
    whole = _resized(pictures)
    views = [whole, whole.flip(2)]
    side = min(height, width)
    if max(height, width) > _LONG * side:
        views += [_resized(pictures[:, :side, :side]), _resized(pictures[:, height - side :, width - side :])]
    return torch.stack(views)


def _resized(pictures: Tensor, height_px: int = _SIZE_PX, width_px: int = _SIZE_PX) -> Tensor:
    """Pictures squeezed to the net's square or another size, float with the range of uint8: (P, H', W', 3)."""
    channels = pictures.permute(0, 3, 1, 2).float()
    return F.interpolate(channels, (height_px, width_px), mode="bilinear", antialias=True).permute(0, 2, 3, 1)


def _wide(height: int, width: int) -> tuple[int, int]:
    """Height and width of nearly the same ratio and of the area of a square of ``_WIDE_PX``, in whole places."""
    ratio = min(max(width / height, 1 / _LONGEST), _LONGEST) ** 0.5
    return tuple(_STRIDE * round(_WIDE_PX * side / _STRIDE) for side in (1 / ratio, ratio))
