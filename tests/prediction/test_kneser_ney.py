"""The n-gram model against a plain one, and by hand."""

from collections import Counter, defaultdict

import numpy as np
import pytest

from simtool.prediction.kneser_ney import KneserNey


def documents(*texts: str) -> tuple[np.ndarray, np.ndarray]:
    """One letter a token, "a" being 0."""
    ids = np.array([ord(letter) - ord("a") for text in texts for letter in text], np.uint16)
    return ids, np.cumsum([0, *map(len, texts)])


class PlainKneserNey:
    """The same model as the formulas say it, with dictionaries."""

    def __init__(self, texts: list[list[int]], V: int, order: int):
        self.V, self.order = V, order
        padded = [[V, *text] for text in texts]
        raw = {
            k: Counter(tuple(t[i - k : i]) for t in padded for i in range(k, len(t) + 1)) for k in range(1, order + 1)
        }
        self.counts = {}
        for k in range(1, order + 1):
            left = defaultdict(set)
            for gram in raw.get(k + 1, ()):
                left[gram[1:]].add(gram[0])
            self.counts[k] = {
                gram: len(left[gram]) if k < order and gram[0] != V else n
                for gram, n in raw[k].items()
                if gram[-1] != V
            }
        self.D = {}
        for k, counts in self.counts.items():
            n = Counter(counts.values())
            Y = n[1] / (n[1] + 2 * n[2]) if n[1] else 0.5
            if n[1] and n[2] and n[3]:
                D = (1 - 2 * Y * n[2] / n[1], 2 - 3 * Y * n[3] / n[2], 3 - 4 * Y * n[4] / n[3])
                self.D[k] = [d if d > 0 else min(Y, 0.9) for d in D]
            else:
                self.D[k] = [min(Y, 0.9)] * 3

    def p(self, history: tuple[int, ...], word: int, k: int) -> float:
        if k == 0:
            return 1 / self.V
        context = history[len(history) - k + 1 :] if k > 1 else ()
        if len(context) < k - 1:
            return self.p(history, word, k - 1)
        followed = {gram[-1]: n for gram, n in self.counts[k].items() if gram[:-1] == context}
        lower = self.p(history, word, k - 1)
        if not followed:
            return lower
        D = self.D[k]
        free = sum(D[min(n, 3) - 1] for n in followed.values())
        n = followed.get(word, 0)
        return ((n - D[min(n, 3) - 1] if n else 0) + free * lower) / sum(followed.values())


def test_the_model_agrees_with_a_plain_one():
    rng = np.random.default_rng(0)
    train = ["".join(rng.choice(list("abcdef"), 30, p=[0.4, 0.25, 0.15, 0.1, 0.06, 0.04])) for _ in range(12)]
    test = ["abacabad", "f", "eeeeefg"]
    model = KneserNey.train(*documents(*train), 7, 3)
    plain = PlainKneserNey([[ord(x) - 97 for x in text] for text in train], 7, 3)
    expected = []
    for text in test:
        history = (7,)
        for word in (ord(x) - 97 for x in text):
            expected.append(plain.p(history, word, 3))
            history = (*history, word)
    np.testing.assert_allclose(model.probabilities(*documents(*test)), expected, rtol=1e-12)


@pytest.mark.parametrize("history", ["", "a", "ab", "abc", "cccc"])
def test_probabilities_sum_to_one(history):
    model = KneserNey.train(*documents("abcabcaab", "bca", "cab", "aabbcc"), 4, 4)
    p = [model.probabilities(*documents(history + word))[-1] for word in "abcd"]
    assert sum(p) == pytest.approx(1)
    assert min(p) > 0


def test_one_document_learnt_by_heart_costs_little():
    text = "abcdefghij" * 20
    model = KneserNey.train(*documents(text), 10, 4)
    assert -np.log2(model.probabilities(*documents(text))).mean() < 0.5


def test_a_unigram_model_by_hand():
    """ "aab": c = (2, 1), and Y = n1 / (n1 + 2 n2) = 1/3 is the one discount, since no count is 3.

    p(a) = (2 - 1/3 + 2/3 * 1/2) / 3 = 2/3, p(b) = (1 - 1/3 + 1/3) / 3 = 1/3.
    """
    model = KneserNey.train(*documents("aab"), 2, 1)
    np.testing.assert_allclose(model.probabilities(*documents("ab")), [2 / 3, 1 / 3])
