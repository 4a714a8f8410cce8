"""The dice of generated text are the same on every machine."""

from simtool.corpora.generated.dice import Dice, listed


def test_dice_are_those_of_python():
    assert [Dice(0).below(1_000_000) for _ in range(2)] == [844_421] * 2  # random.Random(0).random() = 0.8444218...
    assert sorted(Dice(1).some(range(5), 5)) == [0, 1, 2, 3, 4]
    assert Dice(2).say("[a|a] {x}", x=1) == "a 1"
    assert (listed(["a"]), listed(["a", "b", "c"])) == ("a", "a, b and c")


def test_both_ends_of_a_range_come():
    dice = Dice(0)
    assert {dice.integer(2, 4) for _ in range(50)} == {2, 3, 4}
