"""Equal beginnings have equal fingerprints, however they were planned; everything that changes weights changes them."""

import json
from dataclasses import replace

import pytest

from simtool.errors import SimtoolError
from simtool.mixture import Mixture
from simtool.training.recipes import Phase, Recipe, recipe_from_json, recipe_to_json

C4 = Mixture({"c4": 1.0})
MIX = Mixture({"c4": 0.8, "starcoder": 0.2})
STEP = 4 * 16  # tokens
FINGERPRINTS = ["7e1ad53347570f3d", "3def459b0f49756e", "62b1c46dcfaba73b", "8bbe878f8f0b4883"]


def phase(tokens=100 * STEP, **options) -> Phase:
    return Phase(**{"name": "pre", "mixture": C4, "tokens": tokens, "learning_rate": 1e-3, "batch_size": 4} | options)


def recipe(*phases, **options) -> Recipe:
    return Recipe("nano", "f" * 16, phases or (phase(),), sequence_length=16, **options)


def test_the_prefix_of_a_whole_phase_is_the_beginning_of_the_next():
    two = recipe(phase(), phase(name="mid", mixture=MIX))
    assert recipe().fingerprint == two.prefix(0, 100) == two.prefix(1, 0)


def test_arms_share_their_trunk():
    trunk = phase(schedule_tokens=200 * STEP)
    arms = [recipe(trunk, phase(name="mid", mixture=mix, schedule_done=100 * STEP)) for mix in (C4, MIX)]
    assert arms[0].prefix(0, 60) == arms[1].prefix(0, 60)
    assert arms[0].fingerprint != arms[1].fingerprint


def test_a_phase_planned_in_two_pieces_is_the_same_phase():
    whole = recipe(phase(200 * STEP))
    halves = recipe(
        phase(120 * STEP, schedule_tokens=200 * STEP), phase(80 * STEP, name="more", schedule_done=120 * STEP)
    )
    assert halves.segments() == whole.segments()
    assert halves.prefix(0, 150) == whole.prefix(0, 150)
    assert halves.fingerprint == whole.fingerprint


def test_a_trunk_is_shared_by_forks_at_different_places():
    early = recipe(phase(50 * STEP, schedule_tokens=200 * STEP), phase(name="mid", mixture=MIX))
    late = recipe(phase(90 * STEP, schedule_tokens=200 * STEP), phase(name="mid", mixture=MIX))
    assert early.prefix(1, 0) == late.prefix(0, 50)


@pytest.mark.parametrize(
    "other",
    [
        recipe(phase(learning_rate=2e-3)),
        recipe(phase(schedule="linear")),
        recipe(phase(warmup_fraction=0.0)),
        recipe(phase(batch_size=8)),
        recipe(phase(mixture=MIX)),
        recipe(phase(seed=3)),
        recipe(phase(schedule_tokens=300 * STEP)),
        recipe(seed=1),
        recipe(max_grad_norm=0.5),
        recipe(z_loss=1e-4),
        recipe(precision="bf16"),
        recipe(mask_documents=True),
        recipe(precision="bf16", residual_precision="bf16"),
    ],
)
def test_what_changes_the_weights_changes_the_fingerprint(other):
    assert other.prefix(0, 10) != recipe().prefix(0, 10)


def test_names_and_allowances_do_not_change_the_fingerprint():
    assert recipe(phase(name="trunk"), max_epochs=9).fingerprint == recipe().fingerprint
    assert recipe(phase(seed=0)).fingerprint == recipe().fingerprint  # the recipe's own, spelled out


def test_fingerprints_and_saved_names_stay():
    """Checkpoints name their recipe by its fingerprint: these are of the first release of the format."""
    sft = Phase("sft", Mixture({"gsm8k": 1.0}), None, 1e-4, epochs=3, warmup_fraction=0.1, min_lr_ratio=0.0)
    both = recipe(phase(), phase(name="mid", mixture=MIX, schedule="wsd", decay_fraction=0.3), sft, max_grad_norm=0.5)
    assert [both.prefix(0, 60), both.prefix(1, 0), both.prefix(2, 0), both.fingerprint] == FINGERPRINTS
    saved = recipe_to_json(both)
    assert {"length", "clip"} < saved.keys() and {"warmup", "floor", "decay"} < saved["phases"][0].keys()


def test_a_recipe_comes_back_from_json():
    given = recipe(phase(), phase(name="sft", tokens=None, epochs=3, mixture=Mixture({"gsm8k": 1.0})))
    assert recipe_from_json(json.loads(json.dumps(recipe_to_json(given)))) == given


def test_a_setting_that_came_later_changes_no_fingerprint_where_it_is_as_before():
    in_bf16 = recipe(precision="bf16")
    rounded = replace(in_bf16, residual_precision="bf16")
    assert in_bf16.fingerprint == "85d5cff93d99e3e8"  # of the release before
    assert rounded.fingerprint != in_bf16.fingerprint
    assert "residual_precision" not in recipe_to_json(in_bf16)
    assert recipe_from_json(json.loads(json.dumps(recipe_to_json(rounded)))) == rounded


def test_the_learning_rate_goes_on_across_phases():
    trunk = phase(schedule_tokens=200 * STEP, warmup_fraction=0.0, min_lr_ratio=0.0)
    assert trunk.learning_rate_at(0.5) == pytest.approx(5e-4)  # half-way of a cosine
    assert phase(schedule_done=100 * STEP).schedule_length == 200 * STEP


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: phase(tokens=0), "Phase 'pre': tokens must be above 0. Got 0."),
        (lambda: phase(tokens=None), "Phase 'pre' needs either tokens or epochs."),
        (lambda: phase(learning_rate=-1.0), "Phase 'pre': learning rate must be above 0. Got -1.0."),
        (lambda: phase(warmup_fraction=1.5), "Phase 'pre': warmup fraction must be from 0 to 1. Got 1.5."),
        (lambda: replace(phase(mixture=MIX), tokens=None, epochs=2),
         "Phase 'pre' counts epochs, so it needs one corpus. Got c4:0.8+starcoder:0.2."),
        (lambda: recipe(phase(tokens=63)),
         "Phase 'pre' of 63 tokens is shorter than one batch of 4 x 16 tokens."
         " Ask for more tokens or a smaller batch."),
        (lambda: recipe(residual_precision="bf16"),
         "The residual stream is in fp32, or in bf16 where the precision is bf16. Got 'bf16' in fp32."),
    ],
)  # fmt: skip
def test_bad_recipes_are_told(make, message):
    with pytest.raises(SimtoolError) as error:
        make()
    assert str(error.value) == message


def test_a_step_has_the_rate_of_its_middle():
    straight = phase(10 * STEP, schedule="linear", warmup_fraction=0.0, min_lr_ratio=0.0)
    rates = [recipe(straight).learning_rate(straight, step, 10) for step in range(10)]
    assert rates == pytest.approx([1e-3 * (1 - (step + 0.5) / 10) for step in range(10)])


def test_phases_that_go_on_have_the_steps_that_each_has():
    halves = recipe(  # two and a half steps each: of either two are made
        phase(5 * STEP // 2, schedule_tokens=9 * STEP),
        phase(5 * STEP // 2, name="more", schedule_tokens=9 * STEP, schedule_done=2 * STEP),
    )
    assert [segment.tokens for segment in halves.segments()] == [4 * STEP]
    assert halves.ends() == (("pre", 0, 2), ("more", 0, 4))


def test_a_phase_that_goes_on_from_elsewhere_in_the_schedule_is_a_segment_of_its_own():
    later = phase(80 * STEP, name="more", schedule_tokens=200 * STEP, schedule_done=100 * STEP)
    apart = recipe(phase(120 * STEP, schedule_tokens=200 * STEP), later)
    assert len(apart.segments()) == 2 and apart.ends() == (("pre", 0, 120), ("more", 1, 80))
