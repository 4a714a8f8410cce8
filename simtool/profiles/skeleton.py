"""The skeleton: a delexicalised view of a text.

It keeps what syntax is made of and drops what the text is about, so that its n-grams compare how two corpora are
built, not their topics.

- A closed-class English word is its own symbol whatever its case ("The", "the", "THE"), except that "i" is
  a pronoun only as "I": lower-case it is mostly a variable. Programming keywords are kept only where they
  are also such words (for, if, while, not ...). The list is our own; grammars differ on where it ends.
- After a word, 's 't 're 've 'll 'd 'm are symbols: "don't" is don 't.
- Any other word (letters, digits, underscores, combining marks) is its case, whether digits or underscores
  are inside, and its length. Digits alone are a number of so many digits.
- In scripts that put no spaces between words (Chinese, Japanese kana, Thai, Lao, Khmer, Burmese), where Unicode's
  word boundaries (UAX 29) need a dictionary, each letter with its marks is a word.
- An ASCII punctuation mark is itself, one symbol each, except that a run of underscores is one. The
  apostrophe U+2019 is the ASCII one; other marks and symbols go by their class.
- Line breaks up to the next visible character are one symbol: whether there is a blank line, and by how
  many columns the next line is indented, a tab being four. Other space drops out.

Character classes follow the Unicode tables of the running Python: what is unassigned in one version may be
a letter in the next.
"""

import itertools
import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from functools import cache

import numpy as np


def points_of(text: str) -> np.ndarray:
    """Its Unicode code points: uint32 (n_characters,)."""
    # Text may hold half of a surrogate pair, which UTF-32 refuses unless told.
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.dtype("<u4"))


def lengths_of(texts: list[str]) -> np.ndarray:
    return np.fromiter(map(len, texts), np.int64, len(texts))


def ranges(starts: list[int]) -> list[str]:
    """How the classes of numbers that begin there read: [1, 2, 4] gives "1", "2-3", "4+"."""
    closed = [str(a) if b == a + 1 else f"{a}-{b - 1}" for a, b in itertools.pairwise(starts)]
    return [*closed, f"{starts[-1]}+"]


def _range_of(number: int, starts: list[int]) -> str:
    return ranges(starts)[bisect_right(starts, number) - 1]


# --- Its symbols ---

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
SEGMENT = 1 << 22  # characters that are read together, of a text that is longer
CUT = re.compile("(?<=[a-z]) (?=[a-z])")
NO_SYMBOLS = np.zeros(0, np.uint32)
SKELETON: tuple[str, ...] = (
    *CLOSED_CLASS,
    *CLITICS,
    *(f"{case}[{n}]" for case in CASES for n in ranges(WORD_LENGTHS)),
    *(f"{case}_9[{n}]" for case in CASES for n in ranges(WORD_LENGTHS)),  # digits or underscores inside
    *(f"9[{n}]" for n in ranges(NUMBER_LENGTHS)),
    *(f"9x[{n}]" for n in ranges(NUMBER_LENGTHS)),  # begins with a digit and holds other than digits
    *PUNCTUATION,
    *CLASSES,
    *(f"newline+{n}" for n in ranges(INDENTS)),
    *(f"blank+{n}" for n in ranges(INDENTS)),
)
SYMBOL_ID = {symbol: i for i, symbol in enumerate(SKELETON)}


def skeleton_symbols() -> list[str]:
    """The readable name of each skeleton symbol, by its id."""
    return list(SKELETON)


def skeleton_ids(text: str) -> np.ndarray:
    """The skeleton of one text: uint32 (n_symbols,)."""
    return read_skeletons([text])[0]


# A kind is a character in 8 bits: an ASCII character is itself, any other goes by its class.
LOWER_LETTER, UPPER_LETTER, OTHER_LETTER = 128, 129, 130
FIRST_CLASS, FIRST_CLITIC, DOCUMENT_END = 131, 200, 255
UNSPACED_LETTER, COMBINING_MARK = 180, 181
KIND_OF_CATEGORY = {
    **{"Ll": LOWER_LETTER, "Lu": UPPER_LETTER, "Lt": UPPER_LETTER},
    **dict.fromkeys(("Lo", "Lm"), OTHER_LETTER),
    **dict.fromkeys(("Mn", "Mc", "Me"), COMBINING_MARK),
    **dict.fromkeys(("Nd", "Nl", "No"), ord("0")),
    **dict.fromkeys(("Zs", "Zl", "Zp"), ord(" ")),
    **{category: FIRST_CLASS + i for i, group in enumerate(CLASSES.values()) for category in group},
}


def _table(default: int, *entries: tuple[Iterable[int], int], dtype: type = np.uint8) -> np.ndarray:
    table = np.full(256, default, dtype)
    for kinds, value in entries:
        table[list(kinds)] = value
    return table


# What a word holds, in bits; its first character has bits of its own, because of Capital and of numbers. Space has the
# bit above these, and marks have none.
LOWER, UPPER, OTHER, DIGIT, UNDERSCORE, FIRST_UPPER, FIRST_DIGIT, SPACE = (1 << bit for bit in range(8))
HOLDS = _table(
    0,
    ([*range(ord("a"), ord("z") + 1), LOWER_LETTER], LOWER),
    ([*range(ord("A"), ord("Z") + 1), UPPER_LETTER], UPPER),
    ([OTHER_LETTER, UNSPACED_LETTER, COMBINING_MARK], OTHER),
    (range(ord("0"), ord("9") + 1), DIGIT),
    ([ord("_")], UNDERSCORE),
    (b" \t\v\f", SPACE),
)
HOLDS_FIRST = _table(
    0,
    *((([held]), held) for held in (LOWER, OTHER, UNDERSCORE)),
    ([UPPER], FIRST_UPPER),
    ([DIGIT], FIRST_DIGIT),
)
MARK_ID = _table(
    SYMBOL_ID["<control>"],
    *(([ord(mark)], SYMBOL_ID[mark]) for mark in PUNCTUATION),
    *(([FIRST_CLASS + i], SYMBOL_ID[name]) for i, name in enumerate(CLASSES)),
    *(([FIRST_CLITIC + i], SYMBOL_ID[clitic]) for i, clitic in enumerate(CLITICS)),
    dtype=np.uint32,
)


@cache
def _kind_of_point() -> np.ndarray:
    """uint8 (0x110000,): the kind of every code point. 0.05 s to make, so only for text beyond ASCII."""
    import regex

    table = np.full(0x110000, KIND_OF_CATEGORY["Cn"], np.uint8)
    for points in (range(0x40000), range(0xE0000, 0xE1000)):  # elsewhere none is assigned but for private use
        categories = map(unicodedata.category, map(chr, points))
        table[points.start : points.stop] = np.fromiter(map(KIND_OF_CATEGORY.__getitem__, categories), np.uint8)
    # letters of which UAX 29 joins no two to a word
    others = "".join(map(chr, np.flatnonzero(table == OTHER_LETTER)))
    table[[*map(ord, regex.findall(r"\p{Word_Break=Other}", others))]] = UNSPACED_LETTER
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


LONG = 64  # words of more characters are looked at one by one
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


def read_skeletons(texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """The symbols of all texts end to end, uint32 (n_symbols,), and their offsets, int64 (n_texts + 1,)."""
    parts: list[tuple[np.ndarray, np.ndarray]] = []
    for is_long, run in itertools.groupby(texts, lambda text: len(text) > SEGMENT):
        documents = [*run]
        parts += map(_read_long, documents) if is_long else [_read(documents)]
    if len(parts) == 1:
        return parts[0]
    lengths = [np.diff(offsets) for _, offsets in parts]
    return np.concatenate([NO_SYMBOLS, *(symbols for symbols, _ in parts)]), np.cumsum(np.concatenate([[0], *lengths]))


def _read_long(text: str) -> tuple[np.ndarray, np.ndarray]:
    """The same of one long text, in segments: arrays of all its characters took 2.7 GB for 60 MB."""
    symbols = np.concatenate([_read([segment])[0] for segment in _segments(text)])
    return symbols, np.array([0, len(symbols)])


def _segments(text: str) -> Iterator[str]:
    """A text in parts, cut in front of a space between two letters: no symbol reaches over it."""
    start = 0
    while (cut := CUT.search(text, start + SEGMENT)) is not None:
        yield text[start : cut.start()]
        start = cut.start()
    yield text[start:]


# Array code over kinds: 72 MB/s of source code on one core; findall and a dictionary of words gave 16-21.
def _read(texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    kinds = _kinds(texts)
    _join_clitics(kinds)
    holds = np.frombuffer(kinds.tobytes().translate(HOLDS.tobytes()), np.uint8)  # three times as fast as indexing
    in_word = _in_word(holds)
    is_begin = holds == 0
    is_begin[1:] |= in_word[1:] & ~in_word[:-1]
    is_begin[:1] |= in_word[:1]
    _begin_unspaced_words(kinds, in_word, is_begin)
    begins = np.flatnonzero(is_begin)  # where each symbol begins, line breaks and document ends one each

    kinds_begun = kinds[begins]
    symbols = MARK_ID[kinds_begun]
    words = np.flatnonzero(in_word[begins])
    ends = np.flatnonzero(in_word[:-1] & (~in_word[1:] | is_begin[1:])) + 1  # of words; none is the last character
    symbols[words] = _words(kinds, holds, begins[words], ends - begins[words])
    breaks = np.flatnonzero((kinds_begun == ord("\n")) | (kinds_begun == ord("\r")))
    first = np.diff(breaks, prepend=-2) > 1  # of the line breaks with nothing visible between them
    symbols[breaks[first]] = _line_breaks(kinds, begins, breaks, first)

    keep = kinds_begun != DOCUMENT_END
    documents = np.flatnonzero(~keep)
    keep[breaks[~first]] = False
    return symbols[keep], np.concatenate([[0], np.cumsum(keep)[documents]])


def _in_word(holds: np.ndarray) -> np.ndarray:
    return (holds > 0) & (holds < SPACE)


def _begin_unspaced_words(kinds: np.ndarray, in_word: np.ndarray, is_begin: np.ndarray) -> None:
    """Begin a word, in place, at each letter of an unspaced script, and behind it and its marks."""
    unspaced = np.flatnonzero(kinds == UNSPACED_LETTER)
    if not len(unspaced):
        return
    is_begin[unspaced] = True
    behind = unspaced + 1
    marks = np.flatnonzero(kinds == COMBINING_MARK)
    if len(marks):
        ends = marks[np.append(np.diff(marks) > 1, True)]  # the last mark of each run
        marked = np.flatnonzero(kinds[behind] == COMBINING_MARK)
        behind[marked] = ends[np.searchsorted(ends, behind[marked])] + 1
    is_begin[behind[in_word[behind]]] = True


def _kinds(texts: list[str]) -> np.ndarray:
    """The kind of each character, and DOCUMENT_END after each text: uint8 (n_characters + n_texts,)."""
    points = points_of("\0".join([*texts, ""]))
    kinds = points.astype(np.uint8)
    beyond = np.flatnonzero(points > 127)
    if len(beyond):
        kinds[beyond] = _kind_of_point()[points[beyond]]
    kinds[np.cumsum(lengths_of(texts) + 1) - 1] = DOCUMENT_END
    return kinds


def _join_clitics(kinds: np.ndarray) -> None:
    """Make each clitic, in place, a kind of its own and spaces, so that it is one symbol."""
    apostrophes = np.flatnonzero(kinds == ord("'"))
    apostrophes = apostrophes[_in_word(HOLDS[kinds[apostrophes - 1]])]  # -1 is the end of the last document
    eight = _eight_bytes(kinds.tobytes().lower())[apostrophes]
    for i, clitic in enumerate(CLITICS):
        n = len(clitic)
        after = (eight >> np.uint64(8 * n)).astype(np.uint8)
        matches = apostrophes[((eight & KEEP_BYTES[n]) == _first_bytes(clitic)[0]) & ~_in_word(HOLDS[after])]
        kinds[matches] = FIRST_CLITIC + i
        for k in range(1, n):
            kinds[matches + k] = ord(" ")


def _eight_bytes(text: bytes) -> np.ndarray:
    """The eight bytes from each position on as a little-endian number; zeros past the end: uint64 (n_bytes + 1,)."""
    return np.ndarray(len(text) + 1, "<u8", text + bytes(8), strides=(1,))  # eight views of a byte


def _words(kinds: np.ndarray, holds: np.ndarray, starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The symbol of each word, from where it starts and how many characters it has."""
    symbols = _word_ids()[_held(holds, starts, lengths), np.minimum(lengths, LONGEST)]

    multiplier, low_of_slot, high_of_slot, id_of_slot = _closed_class_slots()
    eight = _eight_bytes(kinds.tobytes().lower())
    low = eight[starts] & KEEP_BYTES[np.minimum(lengths, 8)]
    high = np.zeros_like(low)
    longer = np.flatnonzero(lengths > 8)
    high[longer] = eight[starts[longer] + 8] & KEEP_BYTES[np.minimum(lengths[longer] - 8, 8)]
    slots = _slots(low, high, multiplier)
    # Of a longer word the first 16 letters are compared, and no closed-class word has as many.
    closed = (low_of_slot[slots] == low) & (high_of_slot[slots] == high)
    closed &= (low != ord("i")) | (kinds[starts] == ord("I"))
    np.copyto(symbols, id_of_slot[slots], where=closed)
    return symbols


def _held(holds: np.ndarray, starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """What each word holds, in bits, eight characters at a time: uint8 (n_words,)."""
    eight = _eight_bytes(holds.tobytes())
    held = eight[starts] & KEEP_BYTES[np.minimum(lengths, 8)] & ~KEEP_BYTES[1]
    longer = np.flatnonzero(lengths > 8)
    for k in range(8, LONG, 8):
        held[longer] |= eight[starts[longer] + k] & KEEP_BYTES[np.minimum(lengths[longer] - k, 8)]
        longer = longer[lengths[longer] > k + 8]
    for word in longer.tolist():
        held[word] |= np.bitwise_or.reduce(holds[starts[word] + LONG : starts[word] + lengths[word]])
    for shift in (32, 16, 8):
        held |= held >> np.uint64(shift)
    return HOLDS_FIRST[holds[starts]] | held.astype(np.uint8)


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
