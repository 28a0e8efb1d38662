"""What is trained to be compared: the published method in its variants, the thesis's, and the steps from one to ours.

A recipe is a name and the settings in which it differs from the preset, whose own settings are ours. Used by notebook
04 and ``avsep compare``.
"""

import dataclasses
from dataclasses import dataclass, field

from avsep_lib.settings import Settings, StudyError

_NETS = {"smoke": (4, 8), "laptop": (7, 16), "server": (7, 64), "published": (7, 64)}
"""Levels and width of the published audio net at the size of each preset."""
_PUBLISHED = {
    "names_first": False, "competing": False, "different_instruments": False, "colour_db": 0.0, "soft_masks": False,
    "mask": "binary", "loss": "mask",
}  # fmt: skip
"""The published method, but for its optimizer."""


@dataclass(frozen=True)
class Recipe:
    """A net to compare with ours.

    Attributes
    ----------
    name : str
        Of its files and on the command line.
    title : str
        In tables and figures.
    part : str
        Where it is reported: ``published`` (Table 1 of the paper), ``thesis`` (semantic masks), ``ablation``, or
        ``ours`` for the one that all are compared with.
    changes : dict
        Settings in which it differs from the preset.
    published_net : bool
        Whether its audio net is the published one: its levels and width, all steps of time.
    quoted : tuple of float, optional
        SDR, SIR and SAR in dB of the paper's Table 1, on MUSIC: to stand beside ours, not to be compared.
    """

    name: str
    title: str
    part: str
    changes: dict[str, object] = field(default_factory=dict)
    published_net: bool = True
    quoted: tuple[float, float, float] | None = None

    def settings(self, preset: Settings) -> Settings:
        """The preset's settings with the changes of this recipe."""
        changes = dict(self.changes)
        if self.published_net:
            levels, width = _NETS[preset.preset]
            changes |= {"audio_levels": levels, "audio_base_channels": width, "audio_time_stride": 1}
        if changes.get("optimizer") == "sgd":  # its rate falls at the paper's shares of a training
            changes["decay_epochs"] = tuple(max(1, round(share * preset.epochs)) for share in (0.4, 0.8))
        return dataclasses.replace(preset, **changes)


def _published(mask: str, axis: str, quoted: tuple[float, float, float]) -> Recipe:
    """A row of the paper's Table 1."""
    name = "sound_of_pixels" if (mask, axis) == ("binary", "log") else f"sound_of_pixels_{mask}_{axis}"
    changes = _PUBLISHED | {"mask": mask, "frequency_axis": axis}
    return Recipe(name, f"Sound of Pixels, {mask}, {axis}", "published", changes, quoted=quoted)


def _steps() -> list[Recipe]:
    """From the method as published to ours, one change at a time; each step keeps those before it."""
    sgd = {"optimizer": "sgd", "learning_rate": 1e-3, "weight_decay": 1e-4}
    ladder = [Recipe("published_optimizer", "Sound of Pixels with its own optimizer", "ablation", _PUBLISHED | sgd)]
    kept = dict(_PUBLISHED)
    for name, title, dropped in (
        ("with_names", "+ frame net learns names first", ("names_first",)),
        ("with_equaliser", "+ different instruments, random equaliser", ("different_instruments", "colour_db")),
        ("with_competition", "+ masks compete, are used soft", ("competing", "soft_masks")),
        ("with_magnitude_loss", "+ loss on magnitudes", ("mask", "loss")),
    ):
        kept = {setting: value for setting, value in kept.items() if setting not in dropped}
        ladder.append(Recipe(name, title, "ablation", kept))
    return ladder


OURS = Recipe("separator", "separator", "ours", published_net=False)
"""What all are compared with: the separator of notebook 03, with the settings of the preset."""
_STEPS = _steps()
_EVERY = [
    _published("ratio", "linear", (6.67, 12.85, 13.87)),
    _published("ratio", "log", (8.56, 13.75, 14.19)),
    _published("binary", "linear", (6.94, 12.87, 11.12)),
    _published("binary", "log", (8.87, 15.02, 12.28)),
    Recipe("semantic", "semantic mask", "thesis", {"semantic_loss": "cross_entropy"}),
    Recipe("semantic_bce", "semantic mask, weighted BCE", "thesis", {"semantic_loss": "bce"}),
    *_STEPS,
]
RECIPES = {recipe.name: recipe for recipe in _EVERY}
"""All recipes by name, in the order of the tables."""
MAIN = ("sound_of_pixels", "semantic")
"""What notebook 04 trains by itself."""
LADDER = ("published_optimizer", "sound_of_pixels", *(recipe.name for recipe in _STEPS[1:]))
"""Steps of the ablation, from the published method towards ours, which follows as the last one."""

LAST_STEP = "+ strided time: the separator"
"""What distinguishes ours from the last step of the ladder."""
TABLE_1 = (
    ("NMF", "NMF, blind", (3.14, 6.70, 10.10)),
    ("DeepConvSep (not run again)", "", (6.12, 8.38, 11.02)),
    ("spectral regression (not run again)", "", (5.12, 7.72, 10.43)),
    *((recipe.title, recipe.title, recipe.quoted) for recipe in _EVERY if recipe.quoted),
)
"""Rows of the paper's Table 1 in its order: name, our method, and NSDR, SIR, SAR in dB, as it quotes them on MUSIC."""


def find(name: str) -> Recipe:
    """The recipe of a name; one that is not known is refused with those that are."""
    if name not in RECIPES:
        raise StudyError(f"recipe {name!r} is not known; choose from {', '.join(RECIPES)}")
    return RECIPES[name]


def chosen(rivals: str) -> tuple[str, ...]:
    """Names that the setting ``rivals`` stands for: ``none``, ``main`` or ``all``."""
    return {"none": (), "main": MAIN, "all": tuple(RECIPES)}[rivals]
