"""The released Sound of Pixels: its weights, brought into the networks of this study.

Its three files are plain state dicts: a U-Net of seven nested blocks, a dilated ResNet-18 with a convolution on top,
and an inner product. Names and shapes were read in its code; no code was taken over. Used by
``avsep import-sound-of-pixels``.
"""

from pathlib import Path

import torch
from torch import Tensor

from avsep_lib.networks import Separator, save_separator
from avsep_lib.settings import Settings, StudyError, from_parameters

FILES = ("sound_best.pth", "frame_best.pth", "synthesizer_best.pth")
"""What a training of the released code leaves, and what was released."""
_EXPECTED = "give the file of the released networks (unet7, resnet18dilated and linear, 32 channels)"


def import_sound_of_pixels(folder: str | Path, out: str | Path) -> None:
    """Turn the three files of weights of the released Sound of Pixels into a checkpoint of this study.

    ``networks.load_separator`` reads the checkpoint. It names no instruments, since the released networks name none.

    Parameters
    ----------
    folder : str or Path
        Holds ``sound_best.pth``, ``frame_best.pth`` and ``synthesizer_best.pth``.
    out : str or Path
        Checkpoint to write, atomically.

    Raises
    ------
    StudyError
        If the folder or one of the files is missing, a file is no state dict, or a key is missing, is one too many
        or has another shape; the message names the file and the key.

    References
    ----------
    Zhao et al., The Sound of Pixels, ECCV 2018, arXiv:1804.03160; github.com/hangzhaomit/Sound-of-Pixels.
    """
    folder = Path(folder)
    _check_folder(folder)
    settings = released_settings()
    separator = Separator(settings, instruments=[])
    ours, state = separator.state_dict(), {}
    for file, modules in zip(FILES, _modules(settings.audio_levels), strict=True):
        state |= _renamed(folder / file, modules, ours)
    # The classifier has no classes, and its frame net is the same one.
    state |= {f"classifier.{key}": value for key, value in state.items() if key.startswith("frame_net.")}
    separator.load_state_dict(ours | state)
    save_separator(separator, out)


def released_settings() -> Settings:
    """Settings of the released training: the published sizes, ResNet-18, and binary masks that are cut at a half."""
    return from_parameters("published", pretrained=False)


def _modules(levels: int) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    """For each file, our name of each module and theirs; empty where the file holds the module itself."""
    frame = {"frame_net.backbone.body": "features", "frame_net.head": "fc"}
    return _audio_modules(levels), frame, {"synthesizer": ""}


def _audio_modules(levels: int) -> dict[str, str]:
    """The modules of the U-Net: ours stand in two lists, theirs are nested, the outermost block first."""
    modules, block = {"audio_net.input_norm": "bn0"}, "unet_block.model"
    for level in range(levels):
        first, last = level == 0, level == levels - 1
        down, up = f"audio_net.down.{level}", f"audio_net.up.{levels - 1 - level}"
        # A block is a list of layers, with the next block among them; the first and the last block lack some layers.
        modules[f"{down}.{0 if first else 1}"] = f"{block}.{0 if first else 1}"
        modules[f"{up}.2"] = f"{block}.{4 if first or last else 6}"
        if not first:
            modules[f"{up}.3"] = f"{block}.{5 if last else 7}"
        if not first and not last:
            modules[f"{down}.2"] = f"{block}.2"
        block += ".1.model" if first else ".3.model"
    return modules


def _check_folder(folder: Path) -> None:
    """Refuse a folder that is not there or lacks a file."""
    if not folder.is_dir():
        raise StudyError(f"{folder}: there is no such folder; name the one that holds {', '.join(FILES)}")
    missing = [file for file in FILES if not (folder / file).is_file()]
    if missing:
        raise StudyError(f"{folder}: lacks {', '.join(missing)}; it must hold {', '.join(FILES)}")


def _renamed(path: Path, modules: dict[str, str], ours: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights of one file under our names, after a look at every key and shape."""
    theirs = _read(path)
    names = {
        f"{their}{key[len(our) :]}".removeprefix("."): key
        for our, their in modules.items()
        for key in ours
        if key.startswith(f"{our}.")
    }
    for name, key in names.items():
        # A count of batches may be missing: PyTorch 0.4.0, which the released code names, kept none.
        if name not in theirs and not name.endswith(".num_batches_tracked"):
            raise StudyError(f"{path}: {name} is missing; {_EXPECTED}")
        if name in theirs and theirs[name].shape != ours[key].shape:
            shape, expected = tuple(theirs[name].shape), tuple(ours[key].shape)
            raise StudyError(f"{path}: {name} is {shape} but must be {expected}; {_EXPECTED}")
    for name in theirs:
        if name not in names:
            raise StudyError(f"{path}: {name} belongs to no layer; {_EXPECTED}")
    return {names[name]: value for name, value in theirs.items()}


def _read(path: Path) -> dict[str, Tensor]:
    """A state dict, without executing code of its file."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise StudyError(f"{path}: cannot be read as weights ({reason}); download it again") from None
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise StudyError(f"{path}: is no state dict; {_EXPECTED}")
    return state
