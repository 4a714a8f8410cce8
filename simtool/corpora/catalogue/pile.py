"""The Pile's domains that may still be had: rows of one set that name theirs. To add a domain, add it to `DOMAINS`.

Checked in public code: monology/pile-uncopyrighted, split train, fields `text` and `meta`; names of domains as in
the Pile's paper (arXiv:2101.00027). A domain that is rare takes long to stream; its own file in a data folder does not.
"""

from dataclasses import dataclass, replace

from simtool.corpora.corpus import Corpus
from simtool.corpora.hub import Hub
from simtool.corpora.layouts import TextFields
from simtool.corpora.reading import Row


@dataclass(frozen=True)
class OfPileSet:
    """Whether a row is of one of the Pile's domains; rows of a file that holds one alone do not say."""

    domain: str

    @property
    def text(self) -> str:
        return f'meta.pile_set_name == "{self.domain}"'

    @property
    def columns(self) -> tuple[str, ...]:
        return ("meta",)

    def __call__(self, row: Row) -> bool:
        meta = row.get("meta")
        return not isinstance(meta, dict) or meta.get("pile_set_name", self.domain) == self.domain


# name: (the Pile's name, what it is, an example of our own)
DOMAINS = {
    "pile_arxiv": (
        "ArXiv",
        "Physics, mathematics and computer science papers as text.",
        "We prove that the bound is tight.",
    ),
    "pile_cc": ("Pile-CC", "Web pages of Common Crawl.", "Opening hours: daily from nine, closed in August."),
    "pile_dm_mathematics": ("DM Mathematics", "Generated school maths questions.", "Solve 3*x = 12 for x.\n4"),
    "pile_enron": ("Enron Emails", "Business mail of one company.", "Can we move the call to Thursday? Ann"),
    "pile_europarl": (
        "EuroParl",
        "Debates of the European Parliament, in many languages.",
        "Herr Präsident, ich stimme zu.",
    ),
    "pile_freelaw": (
        "FreeLaw",
        "Opinions of courts in the United States.",
        "The judgment of the lower court is affirmed.",
    ),
    "pile_github": ("Github", "Source files of open repositories.", "int main() { return 0; }"),
    "pile_gutenberg": ("Gutenberg (PG-19)", "Books from before 1919.", "The lamp was lit, and nobody spoke."),
    "pile_hackernews": ("HackerNews", "Comment threads on technology.", "Is there a version that works offline?"),
    "pile_nih": (
        "NIH ExPorter",
        "Abstracts of grants for medical research.",
        "We will study how mice sleep after a meal.",
    ),
    "pile_philpapers": ("PhilPapers", "Papers in philosophy.", "To doubt is already to hold something fixed."),
    "pile_pubmed_abstracts": (
        "PubMed Abstracts",
        "Abstracts of medical papers.",
        "Forty patients took part; none was lost.",
    ),
    "pile_pubmed_central": (
        "PubMed Central",
        "Medical papers in full.",
        "Methods\n\nBlood was drawn before breakfast.",
    ),
    "pile_stackexchange": (
        "StackExchange",
        "Questions and answers of Stack Exchange.",
        "Q:\n\nHow do I sort a list?\n\nA:\n\nsorted(x)",
    ),
    "pile_ubuntu_irc": ("Ubuntu IRC", "Chat logs of a support channel.", "<ann> it boots again, thanks"),
    "pile_uspto": ("USPTO Backgrounds", "Background sections of patents.", "Known hinges squeak when they are dry."),
    "pile_wikipedia": (
        "Wikipedia (en)",
        "English Wikipedia articles of 2020.",
        "A salt lamp is a lamp carved from rock salt.",
    ),
}

THE_PILE = Corpus(
    name="pile",
    title="The Pile",
    about="What Pythia was pretrained on, without what is under copyright: papers, web pages, code, books, forums.",
    role="general",
    licence="each source its own; the Pile's copyrighted parts are left out",
    render=TextFields("text"),
    example={"text": "We prove that the bound is tight.", "meta": {"pile_set_name": "ArXiv"}},
    source=Hub("monology/pile-uncopyrighted"),
    files={"pile": None},
)

PILE = (THE_PILE, *(
    replace(
        THE_PILE,
        name=name,
        title=f"Pile: {domain}",
        about=f"{about[:-1]}: a domain of the Pile.",
        example={"text": example, "meta": {"pile_set_name": domain}},
        files={name: None},
        row_filter=OfPileSet(domain),
    )
    for name, (domain, about, example) in DOMAINS.items()
))  # fmt: skip
