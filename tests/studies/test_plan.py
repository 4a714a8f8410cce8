"""A study's tree: what is common is there once, arms differ in one thing, and designs hold fixed what they say."""

from dataclasses import replace

import pytest

from simtool.errors import SimtoolError
from simtool.mixture import Mixture
from simtool.studies.plan import Study, arms_of, plan

WEB = Mixture({"web": 1.0})
STEP = 8 * 128


def small(**options):
    given = {
        "arms": arms_of(WEB, [("code", 0.25), ("sums", 0.5)], cpt=["code"]),
        "targets": ("tasks", "chats"),
        "texts": dict.fromkeys(("web", "code", "sums", "tasks", "chats")),
        "seeds": (0, 1),
        "tokens": 100 * STEP,
    }
    return Study("small", "A small one.", WEB, **{**given, **options})


def tree(study):
    return plan(study, "f" * 16, dict.fromkeys(study.targets, 1_000))


def test_a_trunk_is_trained_once_and_every_arm_forks_from_it():
    made = tree(small())
    text = [node for node in made.nodes.values() if not node.target and node.seed == 0]
    trunk = [node for node in text if not node.ends]
    assert [node.tokens for node in trunk] == [50 * STEP]
    assert {node.ends for node in text if node.ends} == {("control",), ("code:0.25",), ("sums:0.5",), ("code:1",)}
    assert {node.parent for node in text if node.ends} == {trunk[0].key}
    assert {node.tokens for node in text if node.ends} == {50 * STEP}
    # two seeds x (trunk + 4 arms + 4 x 2 leaves)
    assert len(made.nodes) == 2 * (1 + 4 + 8)
    assert made.tokens == 2 * (50 * STEP + 4 * 50 * STEP + 8 * 1_000)
    assert made.tokens_by_arm == 2 * (4 * 100 * STEP + 8 * 1_000)
    assert made.tokens_by_run == 2 * 8 * (100 * STEP + 1_000)


def test_the_control_goes_through_every_fork_of_one_schedule():
    made = tree(small(arms=arms_of(WEB, [("code", 0.25)], starts=(0.25, 0.5)), seeds=(0,)))
    by_label = {node.label: node for node in made.nodes.values() if not node.target}
    early, late = sorted((n for n in made.nodes.values() if not n.ends), key=lambda n: n.recipe.phases[0].tokens)
    assert late.parent == early.key and late.tokens == 25 * STEP
    assert by_label["nano seed 0: control"].parent == late.key
    assert by_label["nano seed 0: code:0.25 @0.25"].parent == early.key
    assert sum(not node.target for node in made.nodes.values()) == 5


def test_designs_hold_fixed_what_they_say():
    starts = (0.25, 0.5)
    share = {arm.start: arm.weight for arm in arms_of(WEB, [("code", 0.2)], starts, "exposure", reference=0.25)
             if arm.control}  # fmt: skip
    assert share[0.25] * 0.75 == pytest.approx(share[0.5] * 0.5)  # as many special tokens
    both = [arm for arm in arms_of(WEB, [("code", 0.2)], starts, "both") if arm.control]
    recipes = [small(arms=arms_of(WEB, [("code", 0.2)], starts, "both")).recipe("f" * 16, "nano", 0, a) for a in both]
    tails = [recipe.phases[1] for recipe in recipes]
    assert tails[0].tokens == tails[1].tokens == 20 * STEP
    for progress in (0.0, 0.5, 1.0):
        assert tails[0].learning_rate_at(progress) == tails[1].learning_rate_at(progress)
    for recipe in recipes:  # the trunk is at its peak when they fork
        trunk = recipe.phases[0]
        assert trunk.learning_rate_at(trunk.tokens / trunk.schedule_length) == trunk.learning_rate
    rate = [arm for arm in arms_of(WEB, [("code", 0.2)], starts, "rate") if arm.control]
    forks = [small(arms=arms_of(WEB, [("code", 0.2)], starts, "rate")).recipe("f" * 16, "nano", 0, a) for a in rate]
    at = [recipe.phases[1].learning_rate_at(recipe.phases[0].tokens / (100 * STEP)) for recipe in forks]
    assert at[0] == at[1] == forks[0].phases[0].learning_rate


def test_arms_that_ask_for_one_thing_are_one_node():
    arms = (*arms_of(WEB, [("code", 0.2)], (0.25, 0.5)), *arms_of(WEB, [("code", 0.2)], (0.25, 0.5), "exposure",
            reference=0.25))  # fmt: skip
    made = tree(small(arms=arms, seeds=(0,)))
    assert ("code:0.2 @0.25", "code:0.2 exposure @0.25") in {node.ends for node in made.nodes.values()}


def test_seeds_of_sft_share_all_text():
    apart, shared = tree(small()), tree(small(seeds_from="sft"))
    assert sum(not node.target for node in apart.nodes.values()) == 2 * 5
    assert sum(not node.target for node in shared.nodes.values()) == 5
    assert sum(bool(node.target) for node in shared.nodes.values()) == 2 * 8


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: small(targets=("code",), texts={"web": 1, "code": 1, "sums": 1}),
         "code would be trained on before it is the target of SFT. Leave it out of one of both."),
        (lambda: small(texts={"web": 1}), "How much text of code, sums, tasks, chats? Say so in `texts`."),
        (lambda: small(seeds=()), "The study 'small' has no seeds."),
        (lambda: replace(small(), arms=arms_of(WEB, [("code", 0.25), ("code", 0.25)])),
         "Arms need names of their own. Twice: code:0.25."),
        (lambda: arms_of(WEB, [("code", 0.9)], (0.2, 0.9), "exposure", reference=0.2),
         "code at 0.9 from 0.2 on cannot be matched from 0.9 on: its share would be 7.2."),
    ],
)  # fmt: skip
def test_what_cannot_be_planned_is_said(make, message):
    with pytest.raises(SimtoolError) as error:
        make()
    assert str(error.value) == message
