"""What metrics, features, predictors and sizes are called in figures; a name without an entry is shown as words."""

import re

METRICS = {
    "token": "paper's score",
    "js": "Jensen-Shannon divergence",
    "size_free": "size-free similarity",
    "kl": "KL divergence",
    "dsir_kl": "DSIR's KL divergence",
    "cross_entropy": "cross-entropy",
    "hellinger": "Hellinger distance",
    "bhattacharyya": "Bhattacharyya coefficient",
    "jaccard": "Jaccard index",
    "witten_bell": "Witten-Bell",
    "kneser_ney": "Kneser-Ney 4-grams",
    "two_sample": "two-sample test",
    "relative": "relative cross-entropy",
    "zstd": "zstd compression",
    "embedding_mmd": "embedding MMD",
}
VIEWS = {"token": ("token", "tokens"), "char": ("character", "characters"), "skeleton": ("syntax", "syntax")}
N_GRAMS = {2: "pairs", 3: "triples", 4: "4-grams", 5: "5-grams"}
SYMBOLS = {"token": "token", "char": "character", "skeleton": "syntax symbol"}


def metric_title(metric: str) -> str:
    """ "cross-entropy" for "cross_entropy"."""
    return METRICS.get(metric, metric.replace("_", " "))


def feature_title(feature: str) -> str:
    """ "syntax pairs" for "skeleton2", "tokens + token pairs" for "token+token2"."""
    return " + ".join(map(_feature_part, feature.split("+")))


def _feature_part(feature: str) -> str:
    match = re.fullmatch(r"(token|char|skeleton)(\d?)", feature)
    if match is None:  # "token1-4", "document_length"
        return feature.replace("token1-", "tokens 1-").replace("_", " ")
    singular, plural = VIEWS[match[1]]
    order = int(match[2] or 1)
    return plural if order == 1 else f"{singular} {N_GRAMS[order]}"


def symbol_of(feature: str) -> str:
    """What one symbol of a feature is: "token", "token pair", "syntax symbol"; of several features, "symbol"."""
    match = re.fullmatch(r"(token|char|skeleton)(\d?)", feature)
    if match is None:
        return "symbol"
    order = int(match[2] or 1)
    return SYMBOLS[match[1]] if order == 1 else f"{VIEWS[match[1]][0]} {N_GRAMS[order].removesuffix('s')}"


def similarity_title(metric: str, feature: str) -> str:
    """ "Jensen-Shannon divergence of characters"; the paper's score is of tokens by definition."""
    title = metric_title(metric)
    return title if (metric, feature) == ("token", "token") else f"{title}, {feature_title(feature)}"


def predictor_title(predictor: str) -> str:
    """ "cross-entropy, syntax pairs" for "cross_entropy.skeleton2"."""
    metric, _, feature = predictor.partition(".")
    return similarity_title(metric, feature) if feature else metric_title(metric)


def setting_title(source: str, size: str) -> str:
    """ "410M, published", and "our study, nano" for what a study measured."""
    return f"our study, {size_title(size)}" if source == "study" else f"{size_title(size)}, {source}"


def size_title(size: str) -> str:
    """ "410M" for "410m"; nano and its like stay as they are."""
    return size.upper() if re.fullmatch(r"[\d.]+[mb]", size) else size
