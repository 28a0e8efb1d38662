"""Each recipe is possible at every size, Table 1 is the paper's, and the ladder leads from its method to ours."""

import dataclasses
import itertools

import pytest

from avsep_lib import recipes
from avsep_lib.recipes import LADDER, MAIN, RECIPES, TABLE_1
from avsep_lib.settings import STUDIES, StudyError, from_parameters, to_dict

AUDIO_NET = {"audio_levels", "audio_base_channels", "audio_time_stride"}


@pytest.fixture(params=["smoke", "laptop", "server"])
def preset(request):
    """Settings of a preset that is ours."""
    return from_parameters(request.param)


def changes(recipe, preset):
    """Settings in which a recipe differs from a preset, with their values."""
    ours, theirs = to_dict(preset), to_dict(recipe.settings(preset))
    return {name: value for name, value in theirs.items() if value != ours[name]}


@pytest.mark.parametrize("size", STUDIES)
@pytest.mark.parametrize("name", RECIPES)
def test_the_settings_of_every_recipe_are_possible(name, size):
    settings = RECIPES[name].settings(from_parameters(size))
    assert from_parameters(**to_dict(settings)) == settings


def test_table_1_is_that_of_the_paper():
    """Zhao et al. 2018, Table 1: NSDR, SIR and SAR."""
    assert [quoted for _, _, quoted in TABLE_1] == [
        (3.14, 6.70, 10.10),
        (6.12, 8.38, 11.02),
        (5.12, 7.72, 10.43),
        (6.67, 12.85, 13.87),
        (8.56, 13.75, 14.19),
        (6.94, 12.87, 11.12),
        (8.87, 15.02, 12.28),
    ]
    masks = ["ratio, linear", "ratio, log", "binary, linear", "binary, log"]
    words = ["NMF", "DeepConvSep", "spectral regression", *masks]
    assert all(word in name for word, (name, _, _) in zip(words, TABLE_1, strict=True))
    ours = [method for _, method, _ in TABLE_1]
    assert ours[:3] == ["NMF, blind", "", ""]
    assert ours[3:] == [recipe.title for recipe in RECIPES.values() if recipe.part == "published"]


@pytest.mark.parametrize("mask", ["ratio", "binary"])
@pytest.mark.parametrize("axis", ["linear", "log"])
def test_a_row_of_table_1_has_the_mask_and_axis_of_its_name(preset, mask, axis):
    (recipe,) = [recipe for recipe in RECIPES.values() if recipe.title == f"Sound of Pixels, {mask}, {axis}"]
    settings = recipe.settings(preset)
    assert (settings.mask, settings.frequency_axis) == (mask, axis)


def test_the_published_recipe_has_the_published_values(preset):
    """Where size, data and eye are the preset's, and its optimizer too but for the recipe that says so."""
    published = to_dict(from_parameters("published"))
    found = to_dict(RECIPES["sound_of_pixels"].settings(preset))
    method = {"names_first", "competing", "different_instruments", "colour_db", "soft_masks", "mask", "loss"}
    for name in method | {"audio_time_stride", "frequency_axis"}:
        assert found[name] == published[name], name
    assert found["optimizer"] == "adamw"
    slow = to_dict(RECIPES["published_optimizer"].settings(preset))
    for name in method | {"optimizer", "learning_rate", "weight_decay"}:
        assert slow[name] == published[name], name
    for fell, falls in zip(slow["decay_epochs"], published["decay_epochs"], strict=True):
        assert fell == round(falls / published["epochs"] * slow["epochs"])
    if preset.preset == "server":
        assert all(found[name] == published[name] for name in AUDIO_NET)


def test_the_rate_of_a_short_training_falls_after_its_first_epoch_at_the_earliest():
    slow = RECIPES["published_optimizer"].settings(from_parameters("smoke", epochs=1))
    assert slow.decay_epochs == (1, 1)


def test_each_step_of_the_ladder_only_drops_changes_of_the_one_before(preset):
    steps = [changes(RECIPES[name], preset) for name in LADDER]
    for before, after in itertools.pairwise(steps):
        assert after.items() < before.items()
    assert steps[-1].keys() <= AUDIO_NET and "audio_time_stride" in steps[-1]


def test_the_ladder_begins_with_the_published_method_and_names_each_step_once():
    assert LADDER[:2] == ("published_optimizer", "sound_of_pixels")
    ablation = [name for name, recipe in RECIPES.items() if recipe.part == "ablation"]
    assert sorted([*ablation, "sound_of_pixels"]) == sorted(LADDER)
    titles = [recipe.title for recipe in RECIPES.values()]
    assert len(set(titles)) == len(titles) and recipes.LAST_STEP not in titles


def test_semantic_masks_differ_by_their_loss_alone(preset):
    one, other = (RECIPES[name].settings(preset) for name in ("semantic", "semantic_bce"))
    assert dataclasses.replace(one, semantic_loss="bce") == other != one


def test_an_unknown_recipe_is_refused_with_those_there_are():
    assert recipes.find("semantic") is RECIPES["semantic"]
    with pytest.raises(StudyError, match="recipe 'sound_of_pixel' is not known") as error:
        recipes.find("sound_of_pixel")
    assert all(name in str(error.value) for name in RECIPES) and "\n" not in str(error.value)


def test_rivals_are_none_the_main_ones_or_all():
    assert recipes.chosen("none") == ()
    assert recipes.chosen("main") == MAIN and set(MAIN) < set(RECIPES)
    assert recipes.chosen("all") == tuple(RECIPES)
