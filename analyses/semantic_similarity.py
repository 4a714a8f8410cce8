"""How alike are the thirteen corpora in what they are about, by an embedding of their documents?

The cosine of mean embeddings and the maximum mean discrepancy, half the documents of one against the other half of the
other, as everywhere; the diagonal is the ceiling.
"""

from pathlib import Path
from typing import Any

import polars as pl

from analyses import Missing, shipped_profile
from simtool.errors import SimtoolError
from simtool.mixture import Mixture
from simtool.prediction.predictors import PREDICTORS
from simtool.prediction.question import Question
from simtool.prediction.text_predictors import DOCUMENTS, embedder
from simtool.profiles.reference.build import CORPORA, source_of
from simtool.profiles.resolve import Options, local_text
from simtool.similarity.resampling import interval
from simtool.tokens.tokenizer import load_tokenizer

RESAMPLES = 200
READ = 20_000  # documents of a corpus, of which DOCUMENTS are drawn


def make(data: Path | None) -> tuple[pl.DataFrame, dict[str, Any]]:
    """One row per metric and cell."""
    if data is None:
        raise Missing("It needs the text of the corpora: --data DIR or SIMTOOL_DATA.")
    try:
        embed = embedder()
    except SimtoolError as error:
        raise Missing(str(error)) from error
    texts, sources = {}, {}
    for name in CORPORA:
        corpus = local_text(name, Options(data=data))
        if corpus is None:
            raise Missing(f"It needs the text of {name}, which the data folder lacks.")
        texts[name] = [document.text for document in corpus.documents(READ)]
        sources[name] = source_of(corpus)
    question = Question(
        profiles={name: shipped_profile(name, "default", ()) for name in CORPORA},
        pretrain=Mixture({"c4": 1.0}),
        mixtures={name: Mixture({name: 1.0}) for name in CORPORA},
        targets=CORPORA,
        resamples=RESAMPLES,
        texts=texts,
        tokenizer=load_tokenizer("default"),
    )
    rows = []
    for name in ("embedding_cosine", "embedding_mmd"):
        values = PREDICTORS[name].measure(question).mixtures
        low, high = interval(values)
        for i, row in enumerate(CORPORA):
            for j, column in enumerate(CORPORA):
                cell = {"value": values[:, i, j].mean(), "low": low[i, j], "high": high[i, j]}
                rows.append({"metric": name, "row": row, "column": column, **cell})
    return pl.DataFrame(rows), {
        "model": embed.model,
        "documents": DOCUMENTS,
        "resamples": RESAMPLES,
        "corpora": sources,
    }
