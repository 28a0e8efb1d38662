"""Checkpoints: weights, settings and class names in one file, believed only whole, and none of its code executed.

Used by ``networks``, ``semantic`` and ``training``.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from avsep_lib import files
from avsep_lib.backbones import Backbone
from avsep_lib.settings import Settings, StudyError, from_parameters, to_dict


def save_net(module: nn.Module, settings: Settings, instruments: Sequence[str], frozen: bool, path: str | Path) -> None:
    """Write weights (without those of a frozen backbone), settings and class names to one file, atomically."""
    state = {k: v.cpu() for k, v in module.state_dict().items() if not (frozen and "backbone.body." in k)}
    content = {"settings": to_dict(settings), "instruments": list(instruments), "state": state}
    with files.atomic(path) as temporary:
        torch.save(content, temporary)


def read_net(path: str | Path) -> tuple[dict, Settings]:
    """Content and settings of what :func:`save_net` wrote, both checked; no code of the file is executed."""
    content = load_checked(path, ("settings", "instruments", "state"))
    try:
        return content, from_parameters(**content["settings"])
    except StudyError as error:
        raise StudyError(f"{path}: made with other settings than this version knows: {error}") from None


def load_checked(path: str | Path, fields: Sequence[str]) -> dict:
    """A checkpoint's dictionary without executing code of it, with the fields it must have."""
    path = Path(path)
    if not path.is_file():
        raise StudyError(f"{path}: there is no such checkpoint; notebooks 02 (frame net) and 03 make them")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise StudyError(f"{path}: cannot be read as a checkpoint ({reason}); train it again") from None
    kinds = {"instruments": list}  # of the fields; the others are dictionaries
    for name in fields:
        if not isinstance(content, dict) or not isinstance(content.get(name), kinds.get(name, dict)):
            raise StudyError(f"{path}: is no checkpoint of this study, it has no {name!r}")
    return content


def load_state(module: nn.Module, state: dict[str, Tensor], path: str | Path) -> None:
    """Load weights, a frozen backbone's excepted; a name or shape that differs is refused and named."""
    expected = module.state_dict()
    for key, value in expected.items():
        if key in state and state[key].shape != value.shape:
            raise StudyError(
                f"{path}: made with other settings, {key} is {tuple(state[key].shape)} "
                f"but these settings need {tuple(value.shape)}"
            )
    frozen = {
        f"{name}.{key}"
        for name, part in module.named_modules(remove_duplicate=False)
        if isinstance(part, Backbone) and part.frozen
        for key in part.state_dict()
    }
    wrong = sorted((expected.keys() - frozen) ^ (state.keys() - frozen))
    if wrong:
        raise StudyError(f"{path}: made with other settings, {wrong[0]} is only on one side")
    module.load_state_dict(state, strict=False)
