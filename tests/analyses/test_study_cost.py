"""Tokens of shared and of separate runs, by hand."""

from analyses import study_cost


def test_cost_of_a_trunk_with_two_arms():
    # trunk of 10 steps; arms from step 4 and 6 add 6 and 4: 20 of 3 x 10, at 5 tokens a step
    assert study_cost.cost((10, 4, 6), steps=10, step_tokens=5) == {
        "n_runs": 3, "tokens_shared": 100, "tokens_separate": 150,
    }  # fmt: skip


def test_without_a_control_the_trunk_ends_at_the_last_fork():
    assert study_cost.cost((4, 6), steps=10, step_tokens=1)["tokens_shared"] == 6 + 6 + 4
