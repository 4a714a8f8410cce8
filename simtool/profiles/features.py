"""Everything that is counted. To add a feature, write its entry in FEATURES; for a new kind of sequence, also
write the function that reads it from a batch, and its entry in VIEWS.

A *view* turns each document into a sequence of symbols (token ids, code points, skeleton symbols ...). A
*feature* is the n-grams of one order over one view. Its counts are an int64 table: a row per fold of
documents, a column per n-gram, or per bucket of n-grams where there are too many to keep apart.

**The hash.** An n-gram s1 .. sn of symbols below 2^32 is folded into 32 bits, all arithmetic modulo 2^32:

    h = s1;  h = h * 0x9E3779B1 + s2;  ...;  h ^= h >> 15;  h *= 0x85EBCA77

and its bucket among 2^b is the top b bits of h. Half as many buckets is one bit less, so a profile counted
finely is coarsened exactly, without the text (`coarsen`). The multipliers are those of xxHash32.

**The skeleton** is a delexicalised view: it keeps what syntax is made of and drops what the text is about, so
that its n-grams compare how two corpora are built, not their topics. What its symbols are is said below.
"""

import itertools
import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import NamedTuple

import numpy as np

from simtool.errors import unknown

N_FOLDS = 16
SYMBOL_MULTIPLIER = np.uint32(0x9E3779B1)  # xxHash32, PRIME32_1
FINAL_MULTIPLIER = np.uint32(0x85EBCA77)  # xxHash32, PRIME32_2


@dataclass(frozen=True)
class Batch:
    """Documents to be counted, in any order; documents that lie in fold order are counted without a copy.

    texts    list of str (n_documents,)
    ids      uint16 or uint32 (n_tokens,)  token ids, documents end to end
    offsets  int64 (n_documents + 1,)      where each document's ids begin, and the end
    folds    integers (n_documents,)       in 0 .. N_FOLDS - 1
    """

    texts: list[str]
    ids: np.ndarray
    offsets: np.ndarray
    folds: np.ndarray

    def __post_init__(self) -> None:
        n_documents = len(self.texts)
        if len(self.offsets) != n_documents + 1 or len(self.folds) != n_documents:
            raise ValueError(f"{n_documents} texts, {len(self.offsets)} offsets, {len(self.folds)} folds")
        if self.offsets[0] != 0 or self.offsets[-1] != len(self.ids):
            raise ValueError(f"Offsets run {self.offsets[0]} .. {self.offsets[-1]}, ids 0 .. {len(self.ids)}")
        if n_documents and not 0 <= self.folds.min() <= self.folds.max() < N_FOLDS:
            raise ValueError(f"Folds run {self.folds.min()} .. {self.folds.max()}, not 0 .. {N_FOLDS - 1}")

    @cached_property
    def points(self) -> np.ndarray:
        """Unicode code points of all the texts end to end: uint32 (n_characters,)."""
        return _code_points("".join(self.texts))

    def fold(self, fold: int) -> "Batch":
        """The documents of one fold, in the order that they have here."""
        chosen = np.flatnonzero(self.folds == fold)
        n = len(chosen)
        first = int(chosen[0]) if n else 0
        offsets = self.offsets
        if n == 0 or chosen[-1] == first + n - 1:
            ids = self.ids[offsets[first] : offsets[first + n]]
            return Batch(
                self.texts[first : first + n],
                ids,
                offsets[first : first + n + 1] - offsets[first],
                self.folds[chosen],
            )
        ids = np.concatenate(
            [self.ids[a:b] for a, b in zip(offsets[chosen].tolist(), offsets[chosen + 1].tolist(), strict=True)]
        )
        lengths = np.diff(offsets)[chosen]
        return Batch([self.texts[d] for d in chosen.tolist()], ids, _offsets(lengths), self.folds[chosen])


# --- Views: what the n-grams are n-grams of ---


def token_sequence(batch: Batch) -> tuple[np.ndarray, np.ndarray]:
    """The token ids, as they come in the batch."""
    return batch.ids, batch.offsets


def code_points(batch: Batch) -> tuple[np.ndarray, np.ndarray]:
    """Unicode code points, line breaks and all; nothing is normalised."""
    return batch.points, _offsets(_lengths(batch.texts))


def skeletons(batch: Batch) -> tuple[np.ndarray, np.ndarray]:
    """Skeleton symbols; `skeleton_symbols` names them."""
    return _skeletons(batch.texts)


def document_lengths(batch: Batch) -> tuple[np.ndarray, np.ndarray]:
    """One symbol a document: the class of its length in tokens."""
    return length_class(np.diff(batch.offsets)), np.arange(len(batch.texts) + 1)


def line_lengths(batch: Batch) -> tuple[np.ndarray, np.ndarray]:
    r"""One symbol a line: the class of its length in characters, without its line break (\n or \r\n).

    A line break that ends a document begins no other line; an empty document has no line.
    """
    points, offsets = code_points(batch)
    newline = points == ord("\n")
    is_end = np.concatenate([[False], newline])
    is_end[offsets[1:]] = True
    is_end[0] = False  # documents that are empty
    ends = np.flatnonzero(is_end)  # one past each line and its break
    starts = np.concatenate([[0], ends])[:-1]
    lengths = ends - starts - newline[ends - 1]
    crlf = newline[ends - 1] & (lengths > 0)
    crlf[crlf] = points[ends[crlf] - 2] == ord("\r")
    return length_class(lengths - crlf), np.searchsorted(ends, offsets, side="right")


# Half an octave each: 0, 1, 2, 3, 4-5, 6-7, 8-11, 12-15, 16-22 ... 2^31 and more.
LENGTH_EDGES = np.unique(np.ceil(2.0 ** (np.arange(63) / 2)).astype(np.int64))


def length_class(lengths: np.ndarray) -> np.ndarray:
    return np.searchsorted(LENGTH_EDGES, lengths, side="right").astype(np.uint32)


def length_symbols() -> list[str]:
    """What each class of length holds, by its id: "0", "1", "2", "3", "4-5" ..."""
    return _ranges([0, *LENGTH_EDGES.tolist()])


def _ranges(starts: list[int]) -> list[str]:
    """How the classes of numbers that begin there read: [1, 2, 4] gives "1", "2-3", "4+"."""
    closed = [str(a) if b == a + 1 else f"{a}-{b - 1}" for a, b in itertools.pairwise(starts)]
    return [*closed, f"{starts[-1]}+"]


def _range_of(number: int, starts: list[int]) -> str:
    return _ranges(starts)[bisect_right(starts, number) - 1]


# --- The skeleton ---
#
# - A closed-class English word is its own symbol whatever its case ("The", "the", "THE"), except that "i" is
#   a pronoun only as "I": lower-case it is mostly a variable. Programming keywords are kept only where they
#   are also such words (for, if, while, not ...). The list is our own; grammars differ on where it ends.
# - After a word, 's 't 're 've 'll 'd 'm are symbols: "don't" is don 't.
# - Any other word (letters, digits, underscores, combining marks) is its case, whether digits or underscores
#   are inside, and its length. Digits alone are a number of so many digits.
# - An ASCII punctuation mark is itself, one symbol each, except that a run of underscores is one. The
#   apostrophe U+2019 is the ASCII one; other marks and symbols go by their class.
# - Line breaks up to the next visible character are one symbol: whether there is a blank line, and by how
#   many columns the next line is indented, a tab being four. Other space drops out.
#
# Character classes follow the Unicode tables of the running Python: what is unassigned in one version may be
# a letter in the next.

CLOSED_CLASS_WORDS = """
    the a an this that these those each every either neither some any no all both half such another other
    others many much more most few fewer less least several enough
    I me my mine myself you your yours yourself yourselves he him his himself she her hers herself it its
    itself we us our ours ourselves they them their theirs themselves one ones oneself
    someone somebody something anyone anybody anything everyone everybody everything none nobody nothing
    of in to for with on at by from as into about between through after over under against during without
    before among within along across behind beyond above below beneath beside besides near since until till
    toward towards upon onto off out up down around per via despite except like unlike than inside outside
    throughout amid
    and or but nor so yet if because although though while whereas unless whether once lest
    be am is are was were been being have has had having do does did doing done
    can could will would shall should may might must ought cannot
    ain aren couldn didn doesn don hadn hasn haven isn mightn mustn needn shan shouldn wasn weren won wouldn
    who whom whose what which when where why how whoever whatever whichever whenever wherever however
    not never there here then now too very also just only even again ever still almost quite rather else thus
    hence therefore away back together already
"""
CLOSED_CLASS = tuple(CLOSED_CLASS_WORDS.split())
CLITICS = ("'s", "'t", "'re", "'ve", "'ll", "'d", "'m")
CASES = ("lower", "Capital", "UPPER", "miXed", "uncased")
WORD_LENGTHS = [1, 2, 3, 4, 6, 8, 12]  # where each class of lengths begins
NUMBER_LENGTHS = [1, 2, 3, 4, 5, 9]
LONGEST = 12  # the last class of either begins no later
INDENTS = [0, 1, 3, 5, 9, 13]
PUNCTUATION = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
CLASSES = {  # symbol: the Unicode categories that it stands for, beyond ASCII
    "<dash>": ("Pd",),
    "<quote>": ("Pi", "Pf"),
    "<open>": ("Ps",),
    "<close>": ("Pe",),
    "<punctuation>": ("Po", "Pc"),
    "<mathematical>": ("Sm",),
    "<currency>": ("Sc",),
    "<symbol>": ("So", "Sk"),
    "<control>": ("Cc", "Cf", "Cs", "Co", "Cn"),  # the ASCII control characters too
}
SKELETON: tuple[str, ...] = (
    *CLOSED_CLASS,
    *CLITICS,
    *(f"{case}[{n}]" for case in CASES for n in _ranges(WORD_LENGTHS)),
    *(f"{case}_9[{n}]" for case in CASES for n in _ranges(WORD_LENGTHS)),  # digits or underscores inside
    *(f"9[{n}]" for n in _ranges(NUMBER_LENGTHS)),
    *(f"9x[{n}]" for n in _ranges(NUMBER_LENGTHS)),  # begins with a digit and holds other than digits
    *PUNCTUATION,
    *CLASSES,
    *(f"newline+{n}" for n in _ranges(INDENTS)),
    *(f"blank+{n}" for n in _ranges(INDENTS)),
)
SYMBOL_ID = {symbol: i for i, symbol in enumerate(SKELETON)}


def skeleton_symbols() -> list[str]:
    """The readable name of each skeleton symbol, by its id."""
    return list(SKELETON)


def skeleton_ids(text: str) -> np.ndarray:
    """The skeleton of one text: uint32 (n_symbols,)."""
    return _skeletons([text])[0]


# A kind is a character in 8 bits: an ASCII character is itself, any other goes by its class.
LOWER_LETTER, UPPER_LETTER, OTHER_LETTER = 128, 129, 130
FIRST_CLASS, FIRST_CLITIC, DOCUMENT_END = 131, 200, 255
KIND_OF_CATEGORY = {
    **{"Ll": LOWER_LETTER, "Lu": UPPER_LETTER, "Lt": UPPER_LETTER},
    **dict.fromkeys(("Lo", "Lm", "Mn", "Mc", "Me"), OTHER_LETTER),
    **dict.fromkeys(("Nd", "Nl", "No"), ord("0")),
    **dict.fromkeys(("Zs", "Zl", "Zp"), ord(" ")),
    **{category: FIRST_CLASS + i for i, group in enumerate(CLASSES.values()) for category in group},
}


def _table(default: int, *entries: tuple[Iterable[int], int], dtype: type = np.uint8) -> np.ndarray:
    table = np.full(256, default, dtype)
    for kinds, value in entries:
        table[list(kinds)] = value
    return table


# What a word holds, in bits; its first character has bits of its own, because of Capital and of numbers.
LOWER, UPPER, OTHER, DIGIT, UNDERSCORE, FIRST_UPPER, FIRST_DIGIT = (1 << bit for bit in range(7))
HOLDS = _table(
    0,
    ([*range(ord("a"), ord("z") + 1), LOWER_LETTER], LOWER),
    ([*range(ord("A"), ord("Z") + 1), UPPER_LETTER], UPPER),
    ([OTHER_LETTER], OTHER),
    (range(ord("0"), ord("9") + 1), DIGIT),
    ([ord("_")], UNDERSCORE),
)
HOLDS_FIRST = _table(
    0,
    *((([held]), held) for held in (LOWER, OTHER, UNDERSCORE)),
    ([UPPER], FIRST_UPPER),
    ([DIGIT], FIRST_DIGIT),
)
IS_SPACE = _table(False, (b" \t\v\f", True), dtype=bool)
MARK_ID = _table(
    SYMBOL_ID["<control>"],
    *(([ord(mark)], SYMBOL_ID[mark]) for mark in PUNCTUATION),
    *(([FIRST_CLASS + i], SYMBOL_ID[name]) for i, name in enumerate(CLASSES)),
    *(([FIRST_CLITIC + i], SYMBOL_ID[clitic]) for i, clitic in enumerate(CLITICS)),
    dtype=np.uint32,
)


@cache
def _kind_of_point() -> np.ndarray:
    """uint8 (0x110000,): the kind of every code point. 0.2 s to make, so only for text beyond ASCII."""
    categories = map(unicodedata.category, map(chr, range(0x110000)))
    table = np.fromiter(map(KIND_OF_CATEGORY.__getitem__, categories), np.uint8, 0x110000)
    table[:128] = np.arange(128)
    table[0x2019] = ord("'")  # the typographic apostrophe
    return table


def _word_symbol(holds: int, length: int) -> str:
    """The symbol of an open-class word, from what it holds and its length in characters."""
    if holds == UNDERSCORE:
        return "_"
    if holds & FIRST_DIGIT:
        kind = "9x" if holds & ~(FIRST_DIGIT | DIGIT) else "9"
        return f"{kind}[{_range_of(length, NUMBER_LENGTHS)}]"
    if holds & LOWER:
        case = "miXed" if holds & UPPER else "Capital" if holds & FIRST_UPPER else "lower"
    else:
        case = "UPPER" if holds & (UPPER | FIRST_UPPER) else "uncased"
    inside = "_9" if holds & (DIGIT | UNDERSCORE) else ""
    return f"{case}{inside}[{_range_of(length, WORD_LENGTHS)}]"


@cache
def _word_ids() -> np.ndarray:
    """uint32 (128, LONGEST + 1): the symbol of a word by what it holds and its length, at most LONGEST."""
    return np.array(
        [[SYMBOL_ID[_word_symbol(holds, max(n, 1))] for n in range(LONGEST + 1)] for holds in range(128)],
        np.uint32,
    )


def _first_bytes(word: str) -> tuple[int, int]:
    """Bytes 0-7 and 8-15 of a word as two little-endian numbers: what it is looked up by."""
    padded = word.encode().ljust(16, b"\0")
    return int.from_bytes(padded[:8], "little"), int.from_bytes(padded[8:], "little")


KEEP_BYTES = np.array([(1 << 8 * n) - 1 for n in range(9)], np.uint64)  # the first n of eight bytes
SLOT_BITS = 13


def _slots(low: np.ndarray, high: np.ndarray, multiplier: np.uint64) -> np.ndarray:
    return (((low ^ (high << np.uint64(1))) * multiplier) >> np.uint64(64 - SLOT_BITS)).view(np.int64)


@cache
def _closed_class_slots() -> tuple[np.uint64, np.ndarray, np.ndarray, np.ndarray]:
    """CLOSED_CLASS as a hash table: its multiplier; by slot, both halves of the word and its id."""
    words = np.array([_first_bytes(word.lower()) for word in CLOSED_CLASS], np.uint64)
    multipliers = (np.uint64(0x9E3779B97F4A7C15 * odd % 2**64) for odd in itertools.count(1, 2))
    multiplier = next(m for m in multipliers if len(np.unique(_slots(*words.T, m))) == len(words))
    slots = _slots(*words.T, multiplier)
    low, high = np.zeros((2, 1 << SLOT_BITS), np.uint64)
    ids = np.zeros(1 << SLOT_BITS, np.uint32)
    low[slots], high[slots], ids[slots] = words[:, 0], words[:, 1], np.arange(len(words))
    return multiplier, low, high, ids


# Array code over kinds: 72 MB/s of source code on one core; findall and a dictionary of words gave 16-21.
def _skeletons(texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """The symbols of all texts end to end, uint32 (n_symbols,), and their offsets, int64 (n_texts + 1,)."""
    kinds = _kinds(texts)
    _join_clitics(kinds)
    holds = HOLDS.take(kinds)
    in_word = holds > 0
    begins = ~(in_word | IS_SPACE.take(kinds))
    begins[1:] |= in_word[1:] & ~in_word[:-1]
    begins[:1] |= in_word[:1]
    begins = np.flatnonzero(begins)  # where each symbol begins, line breaks and document ends one each

    kinds_begun = kinds[begins]
    symbols = MARK_ID[kinds_begun]
    words = np.flatnonzero(in_word[begins])
    symbols[words] = _words(kinds, holds, begins[words])
    breaks = np.flatnonzero((kinds_begun == ord("\n")) | (kinds_begun == ord("\r")))
    first = np.diff(breaks, prepend=-2) > 1  # of the line breaks with nothing visible between them
    symbols[breaks[first]] = _line_breaks(kinds, begins, breaks, first)

    keep = kinds_begun != DOCUMENT_END
    documents = np.flatnonzero(~keep)
    keep[breaks[~first]] = False
    return symbols[keep], np.concatenate([[0], np.cumsum(keep)[documents]])


def _kinds(texts: list[str]) -> np.ndarray:
    """The kind of each character, and DOCUMENT_END after each text: uint8 (n_characters + n_texts,)."""
    points = _code_points("\0".join([*texts, ""]))
    kinds = points.astype(np.uint8)
    beyond = np.flatnonzero(points > 127)
    if len(beyond):
        kinds[beyond] = _kind_of_point()[points[beyond]]
    kinds[np.cumsum(_lengths(texts) + 1) - 1] = DOCUMENT_END
    return kinds


def _join_clitics(kinds: np.ndarray) -> None:
    """Make each clitic, in place, a kind of its own and spaces, so that it is one symbol."""
    apostrophes = np.flatnonzero(kinds == ord("'"))
    apostrophes = apostrophes[HOLDS[kinds[apostrophes - 1]] > 0]  # -1 is the end of the last document
    eight = _eight_bytes(kinds)[apostrophes]
    for i, clitic in enumerate(CLITICS):
        n = len(clitic)
        after = (eight >> np.uint64(8 * n)).astype(np.uint8)
        found = apostrophes[((eight & KEEP_BYTES[n]) == _first_bytes(clitic)[0]) & (HOLDS[after] == 0)]
        kinds[found] = FIRST_CLITIC + i
        for k in range(1, n):
            kinds[found + k] = ord(" ")


def _eight_bytes(kinds: np.ndarray) -> np.ndarray:
    """The eight kinds from each position on, in lower case, as a little-endian number; zeros past the end."""
    lower = kinds.tobytes().lower() + bytes(16)
    return np.ndarray(len(kinds) + 9, "<u8", lower, strides=(1,))  # eight views of a byte, no copy


def _words(kinds: np.ndarray, holds: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """The symbol of the word that begins at each of `starts`. Overwrites `holds` there."""
    ends = np.flatnonzero((holds[:-1] > 0) & (holds[1:] == 0)) + 1
    lengths = ends - starts
    holds[starts] = HOLDS_FIRST[holds[starts]]
    # Up to the next word, and all that lies between holds nothing. reduceat refuses an empty array.
    held = np.bitwise_or.reduceat(holds, starts) if len(starts) else holds[:0]
    symbols = _word_ids()[held, np.minimum(lengths, LONGEST)]

    multiplier, low_of_slot, high_of_slot, id_of_slot = _closed_class_slots()
    eight = _eight_bytes(kinds)
    low = eight[starts] & KEEP_BYTES[np.minimum(lengths, 8)]
    high = eight[np.minimum(starts + 8, len(kinds))] & KEEP_BYTES[np.clip(lengths - 8, 0, 8)]
    slots = _slots(low, high, multiplier)
    # Of a longer word the first 16 letters are compared, and no closed-class word has as many.
    closed = (low_of_slot[slots] == low) & (high_of_slot[slots] == high)
    closed &= (low != ord("i")) | (kinds[starts] == ord("I"))
    symbols[closed] = id_of_slot[slots[closed]]
    return symbols


def _line_breaks(kinds: np.ndarray, begins: np.ndarray, breaks: np.ndarray, first: np.ndarray) -> np.ndarray:
    """The symbol of each run of line breaks. `breaks` are places in `begins`; `first`: which begin a run."""
    if not len(breaks):
        return np.zeros(0, np.uint32)
    at = begins[breaks]
    ends_line = (kinds[at] == ord("\r")) | (kinds[at - 1] != ord("\r"))  # \r\n is one
    n_lines = np.add.reduceat(ends_line.astype(np.int64), np.flatnonzero(first))
    last = np.roll(first, -1)
    start, stop = at[last] + 1, begins[breaks[last] + 1]  # the indentation
    tabs = np.flatnonzero(kinds == ord("\t"))
    columns = stop - start + 3 * (np.searchsorted(tabs, stop) - np.searchsorted(tabs, start))
    depth = np.searchsorted(INDENTS, columns, side="right") - 1
    return SYMBOL_ID["newline+0"] + len(INDENTS) * (n_lines > 1) + depth


def _code_points(text: str) -> np.ndarray:
    # Text may hold half of a surrogate pair, which UTF-32 refuses unless told.
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.dtype("<u4"))


def _lengths(texts: list[str]) -> np.ndarray:
    return np.fromiter(map(len, texts), np.int64, len(texts))


def _offsets(lengths: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])


# --- The catalogue ---


@dataclass(frozen=True)
class View:
    """A way to read each document as a sequence of symbols.

    read      batch -> (symbols, unsigned integers below 2^32, end to end; offsets, int64 (n_documents + 1,))
    alphabet  symbols are below it; None: below the size of the tokenizer's vocabulary
    """

    about: str
    read: Callable[[Batch], tuple[np.ndarray, np.ndarray]]
    alphabet: int | None


VIEWS = {
    "token": View("Token ids.", token_sequence, None),
    "char": View("Unicode code points.", code_points, 0x110000),
    "skeleton": View("Closed-class words, word shapes, punctuation, line structure.", skeletons, len(SKELETON)),
    "document_length": View(
        "One symbol a document: its length in tokens, by half octaves.",
        document_lengths,
        len(LENGTH_EDGES) + 1,
    ),
    "line_length": View(
        "One symbol a line: its length in characters, by half octaves.", line_lengths, len(LENGTH_EDGES) + 1
    ),
}


@dataclass(frozen=True)
class Feature:
    """The n-grams of one order over one view; none crosses from a document into the next.

    n_buckets  how many buckets they are hashed to, a power of two; None: each n-gram has its own column, the
               number whose digits are its symbols in base `alphabet`
    """

    name: str
    about: str
    view: str
    order: int
    n_buckets: int | None = None

    def dimension(self, vocabulary_size: int) -> int:
        """How many columns its counts have."""
        return self.n_buckets or self._alphabet(vocabulary_size) ** self.order

    def buckets(self, symbols: np.ndarray, offsets: np.ndarray, vocabulary_size: int) -> np.ndarray:
        """The column of each n-gram, in the order of the text: int64 (n_ngrams,)."""
        if self.order == 1 and not self.n_buckets:
            return symbols.astype(np.int64)
        n = max(len(symbols) - self.order + 1, 0)
        base = SYMBOL_MULTIPLIER if self.n_buckets else np.uint32(self._alphabet(vocabulary_size))
        buckets = symbols[:n].astype(np.uint32)
        for k in range(1, self.order):
            buckets *= base
            buckets += symbols[k : k + n]
        if self.n_buckets:
            buckets ^= buckets >> np.uint32(15)
            buckets *= FINAL_MULTIPLIER
            buckets >>= np.uint32(33 - self.n_buckets.bit_length())
        return np.delete(buckets, _crossing(offsets, self.order, n)).astype(np.int64)

    def _alphabet(self, vocabulary_size: int) -> int:
        return VIEWS[self.view].alphabet or vocabulary_size


def _crossing(offsets: np.ndarray, order: int, n: int) -> np.ndarray:
    """Which of the first n windows of `order` symbols cross from a document into another."""
    starts = (offsets[1:, None] - np.arange(1, order)).ravel()
    return starts[(starts >= 0) & (starts < n)]


FEATURES = {
    feature.name: feature
    for feature in (
        Feature("token", "Tokens.", "token", 1),
        Feature("token2", "Pairs of tokens.", "token", 2, 1 << 18),
        Feature("token3", "Triples of tokens.", "token", 3, 1 << 18),
        Feature("token4", "Runs of four tokens.", "token", 4, 1 << 18),
        Feature("char1", "Characters.", "char", 1, 1 << 16),
        Feature("char2", "Pairs of characters.", "char", 2, 1 << 18),
        Feature("char3", "Triples of characters.", "char", 3, 1 << 18),
        Feature("char4", "Runs of four characters.", "char", 4, 1 << 18),
        Feature("char5", "Runs of five characters.", "char", 5, 1 << 18),
        Feature("skeleton1", "Syntax: function words, word shapes, punctuation, line breaks.", "skeleton", 1),
        Feature("skeleton2", "Syntax: pairs of skeleton symbols.", "skeleton", 2),
        Feature("skeleton3", "Syntax: triples of skeleton symbols.", "skeleton", 3, 1 << 18),
        Feature("skeleton4", "Syntax: runs of four skeleton symbols.", "skeleton", 4, 1 << 18),
        Feature("document_length", "Tokens a document, by half octaves.", "document_length", 1),
        Feature("line_length", "Characters a line, by half octaves.", "line_length", 1),
    )
}


def find_feature(name: str) -> Feature:
    """The feature of that name. Raises SimtoolError with the names that there are."""
    if name not in FEATURES:
        raise unknown("feature", name, FEATURES)
    return FEATURES[name]


# --- Counting ---


def empty_counts(names: Iterable[str], vocabulary_size: int) -> dict[str, np.ndarray]:
    """Zeros to be added to: int64 (N_FOLDS, dimension) a feature; 330 MB for all of them."""
    return {name: np.zeros((N_FOLDS, find_feature(name).dimension(vocabulary_size)), np.int64) for name in names}


def add_counts(counts: dict[str, np.ndarray], batch: Batch, vocabulary_size: int) -> None:
    """Add a batch to `counts`, in place; the names in it say what is counted.

    Goes fold by fold, so that the symbols and the row that they are counted into stay in the processor's
    cache, and no temporary is larger than a fold's part of the batch. Where rows are long and batches small,
    `np.add.at` also saves the row of zeros that `bincount` would make; on long parts the two are as fast.
    """
    features = [find_feature(name) for name in counts]
    for fold in range(N_FOLDS):
        part = batch.fold(fold)
        for view in dict.fromkeys(feature.view for feature in features):
            symbols, offsets = VIEWS[view].read(part)
            for feature in features:
                if feature.view == view:
                    buckets = feature.buckets(symbols, offsets, vocabulary_size)
                    np.add.at(counts[feature.name][fold], buckets, 1)


def count_features(batch: Batch, names: Iterable[str], vocabulary_size: int) -> dict[str, np.ndarray]:
    """The counts of a batch: int64 (N_FOLDS, dimension) a feature."""
    counts = empty_counts(names, vocabulary_size)
    add_counts(counts, batch, vocabulary_size)
    return counts


def coarsen(counts: np.ndarray, n_buckets: int) -> np.ndarray:
    """Counts of a hashed feature in fewer buckets: what hashing to so few would have given, exactly.

    counts     integers (..., a power of two)
    n_buckets  a power of two, at most that
    """
    n_fine = counts.shape[-1]
    if n_fine.bit_count() != 1 or n_buckets.bit_count() != 1 or n_buckets > n_fine:
        raise ValueError(f"Cannot coarsen {n_fine} buckets to {n_buckets}: powers of two, and not more")
    return counts.reshape(*counts.shape[:-1], n_buckets, n_fine // n_buckets).sum(axis=-1)


class Ngram(NamedTuple):
    """An n-gram that occurs, the column of its feature that it is counted in, and how often it occurs."""

    bucket: int
    symbols: tuple[int, ...]
    count: int


def frequent_ngrams(batch: Batch, name: str, k: int, vocabulary_size: int) -> list[Ngram]:
    """The k most frequent n-grams of a batch, exactly, most frequent first; they tell what a bucket holds.

    Of equally frequent n-grams the one with smaller symbols comes first, so documents may come in any order.
    It sorts: a thousand n-grams of 16 M characters took 15 s on a busy core, so give it a sample.
    """
    feature = find_feature(name)
    symbols, offsets = VIEWS[feature.view].read(batch)
    n = max(len(symbols) - feature.order + 1, 0)
    starts = np.delete(np.arange(n), _crossing(offsets, feature.order, n))
    if not len(starts) or k < 1:
        return []
    # No n-gram is more frequent than its bucket, so only those of full buckets need to be sorted: first
    # of the k fullest, then of all that are at least as full as the kth n-gram found there is frequent.
    buckets = feature.buckets(symbols, offsets, vocabulary_size)
    fullness = np.bincount(buckets)
    least = _kth_largest(fullness, k)
    where, n_times = _distinct(symbols, starts[fullness[buckets] >= least], feature.order)
    least = min(least, _kth_largest(n_times, k))
    where, n_times = _distinct(symbols, starts[fullness[buckets] >= least], feature.order)
    top = np.argsort(-n_times, kind="stable")[:k]
    ngrams = symbols[where[top, None] + np.arange(feature.order)]
    buckets = feature.buckets(ngrams.ravel(), np.arange(len(top) + 1) * feature.order, vocabulary_size)
    return [
        Ngram(bucket, tuple(ngram), count)
        for bucket, ngram, count in zip(buckets.tolist(), ngrams.tolist(), n_times[top].tolist(), strict=True)
    ]


def _kth_largest(numbers: np.ndarray, k: int) -> int:
    """Or the smallest, if there are fewer."""
    return int(np.sort(numbers)[-min(k, len(numbers))])


def _distinct(symbols: np.ndarray, starts: np.ndarray, order: int) -> tuple[np.ndarray, np.ndarray]:
    """Where each distinct n-gram first begins, in the order of their symbols, and how often it occurs."""
    keys = symbols[starts].astype(np.uint64)
    for i in range(1, order):
        # Rank and symbol are below 2^32: they share 64 bits, and sort as the n-grams do.
        rank = np.unique(keys, return_inverse=True)[1].astype(np.uint64)
        keys = (rank << np.uint64(32)) | symbols[starts + i]
    _, first, n_times = np.unique(keys, return_index=True, return_counts=True)
    return starts[first], n_times
