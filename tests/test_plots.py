"""What a reader must be able to tell apart in a picture."""

from simtool.plots import COLORS, CORPUS_COLORS, colors_of


def test_no_two_of_eight_have_one_colour():
    own = ["a", "i", "q", "y"]  # whatever their letters
    assert len(set(colors_of(own).values())) == 4
    assert len(set(colors_of(["starcoder", *own, "c4"]).values())) == 6
    assert set(colors_of("abcdefgh").values()) == set(COLORS)
    assert (
        len(set(colors_of(["math", "pycode", "flan", "sciq"]).values())) == 4
    )  # each two have one colour of their own


def test_a_known_corpus_keeps_its_colour():
    assert colors_of(["mine", "gsm8k", "other"])["gsm8k"] == CORPUS_COLORS["gsm8k"]


def test_beyond_eight_colours_come_again():
    assert set(colors_of([f"corpus{i}" for i in range(20)]).values()) == set(COLORS)
