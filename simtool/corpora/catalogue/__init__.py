"""Every corpus known by name, with all that is known of it: one module per role, an entry is all that one writes.

Role: general text is pretrained on, specialised text is mixed in at midtraining, SFT sets are the targets of
posttraining. A target's colour has the hue of the corpus that is meant for it: code blue, mathematics orange,
instructions green. How rows become documents: `renders`, and the layouts that every file may have.
"""

from collections.abc import Iterable

from simtool.corpora.catalogue.midtrain import MIDTRAIN
from simtool.corpora.catalogue.offline import OFFLINE
from simtool.corpora.catalogue.pile import PILE
from simtool.corpora.catalogue.pretrain import PRETRAIN
from simtool.corpora.catalogue.sft import SFT
from simtool.corpora.corpus import Corpus
from simtool.errors import unknown

ENTRIES = (*PRETRAIN, *PILE, *MIDTRAIN, *SFT, *OFFLINE)

CATALOGUE: dict[str, Corpus] = {entry.name: entry for entry in ENTRIES}
SAME_DOMAIN = "same-domain baseline"  # the predictor that `same_domain_pairs` are


def same_domain_pairs(specials: Iterable[str], targets: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """The (special, target) pairs of one domain among these: the plain guess that predictions are held against."""
    mixed_in = set(specials)
    pairs = [(CATALOGUE[target].same_domain, target) for target in targets if target in CATALOGUE]
    return tuple((special, target) for special, target in pairs if special in mixed_in)


def find_corpus(name: str) -> Corpus:
    """The entry of this name; SimtoolError with the nearest names if there is none."""
    if name not in CATALOGUE:
        raise unknown("corpus", name, CATALOGUE)
    return CATALOGUE[name]
