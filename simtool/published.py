"""Mixtures that were published, by name: the shares of their corpora and where they were said.

To add one, write its entry in `PUBLISHED`. A name is used wherever a mixture is: `--pretrain smollm3-stage1`. Corpora
are names of the catalogue, or hub ids where an entry is of another part of a set; what could not be named is said.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class PublishedMixture:
    """A mixture as its makers state it.

    title     as people write the name
    weights   by corpus, in tokens, as published; they are scaled to 1 where a mixture is made of them
    source    where they were said, and what of it is not as it was
    """

    name: str
    title: str
    about: str
    weights: Mapping[str, float]
    source: str

    @property
    def shares(self) -> dict[str, float]:
        """The weights, scaled to sum 1."""
        total = sum(self.weights.values())
        return {corpus: weight / total for corpus, weight in self.weights.items()}


SMOLLM3 = "huggingface/smollm, text/pretraining/smollm3/{}, the last of its data_stages; {}"
STACK = "code, issues, pull requests and notebooks are together"
LATER = f"{STACK}, as are the parts of MegaMath"

PUBLISHED = {
    entry.name: entry
    for entry in (
        PublishedMixture(
            "smollm3-stage1",
            "SmolLM3, stage 1",
            "What SmolLM3 is pretrained on, its first 8T tokens.",
            {
                "fineweb_edu": 0.333,
                "dclm": 0.37,
                "allenai/dolmino-mix-1124:pes2o": 0.02,
                "allenai/dolmino-mix-1124:wiki": 0.001,
                "allenai/dolmino-mix-1124:stackexchange": 0.004,
                "epfml/FineWeb2-HQ:fra_Latn": 0.016,
                "epfml/FineWeb2-HQ:spa_Latn": 0.02,
                "epfml/FineWeb2-HQ:deu_Latn": 0.022,
                "epfml/FineWeb2-HQ:ita_Latn": 0.0105,
                "epfml/FineWeb2-HQ:por_Latn": 0.01,
                "epfml/FineWeb2-HQ:cmn_Hani": 0.01,
                "epfml/FineWeb2-HQ:rus_Cyrl": 0.01,
                "epfml/FineWeb2-HQ:fas_Arab": 0.003,
                "epfml/FineWeb2-HQ:jpn_Jpan": 0.00325,
                "HuggingFaceFW/fineweb-2:kor_Hang": 0.00325,
                "HuggingFaceFW/fineweb-2:hin_Deva": 0.00325,
                "HuggingFaceFW/fineweb-2:tha_Thai": 0.00325,
                "epfml/FineWeb2-HQ:vie_Latn": 0.00325,
                "epfml/FineWeb2-HQ:ell_Grek": 0.00225,
                "HuggingFaceTB/finemath:infiwebmath-3plus": 0.01,
                "HuggingFaceTB/finemath:finemath-3plus": 0.017,
                "the_stack_v2": 0.125,
            },
            SMOLLM3.format("stage1_8T.yaml", STACK),
        ),
        PublishedMixture(
            "smollm3-stage2",
            "SmolLM3, stage 2",
            "What SmolLM3 is trained on from 8T to 9T tokens: more mathematics, Stack-Edu.",
            {
                "fineweb_edu": 0.3,
                "dclm": 0.33,
                "allenai/dolmino-mix-1124:pes2o": 0.016,
                "allenai/dolmino-mix-1124:wiki": 0.001,
                "allenai/dolmino-mix-1124:stackexchange": 0.002,
                "epfml/FineWeb2-HQ:fra_Latn": 0.016,
                "epfml/FineWeb2-HQ:spa_Latn": 0.02,
                "epfml/FineWeb2-HQ:deu_Latn": 0.0232,
                "epfml/FineWeb2-HQ:ita_Latn": 0.0105,
                "epfml/FineWeb2-HQ:por_Latn": 0.01,
                "epfml/FineWeb2-HQ:cmn_Hani": 0.01,
                "epfml/FineWeb2-HQ:rus_Cyrl": 0.01,
                "epfml/FineWeb2-HQ:fas_Arab": 0.002,
                "epfml/FineWeb2-HQ:jpn_Jpan": 0.00325,
                "HuggingFaceFW/fineweb-2:kor_Hang": 0.00325,
                "HuggingFaceFW/fineweb-2:hin_Deva": 0.00325,
                "HuggingFaceFW/fineweb-2:tha_Thai": 0.00325,
                "epfml/FineWeb2-HQ:vie_Latn": 5e-05,
                "epfml/FineWeb2-HQ:ell_Grek": 0.00225,
                "HuggingFaceTB/finemath:infiwebmath-3plus": 0.01,
                "HuggingFaceTB/finemath:finemath-3plus": 0.01,
                "HuggingFaceTB/finemath:infiwebmath-4plus": 0.01,
                "finemath": 0.02,
                "megamath": 0.0408,
                "stack_edu": 0.10561,
                "the_stack_v2": 0.03764,
            },
            SMOLLM3.format("stage2_8T_9T.yaml", LATER),
        ),
        PublishedMixture(
            "smollm3-stage3",
            "SmolLM3, stage 3",
            "What SmolLM3's rate decays on, from 9T to 11T tokens: more code and mathematics, reasoning.",
            {
                "fineweb_edu": 0.2,
                "dclm": 0.3,
                "allenai/dolmino-mix-1124:pes2o": 0.002,
                "allenai/dolmino-mix-1124:wiki": 0.0002,
                "wikipedia": 0.008,
                "HuggingFaceTB/smollm-corpus:cosmopedia-v2": 0.004,
                "allenai/dolmino-mix-1124:stackexchange": 0.001,
                "epfml/FineWeb2-HQ:fra_Latn": 0.018,
                "epfml/FineWeb2-HQ:spa_Latn": 0.022,
                "epfml/FineWeb2-HQ:deu_Latn": 0.023,
                "epfml/FineWeb2-HQ:ita_Latn": 0.0125,
                "epfml/FineWeb2-HQ:por_Latn": 0.0045,
                "epfml/FineWeb2-HQ:cmn_Hani": 0.01,
                "epfml/FineWeb2-HQ:rus_Cyrl": 0.01,
                "epfml/FineWeb2-HQ:fas_Arab": 0.009,
                "epfml/FineWeb2-HQ:jpn_Jpan": 0.0032,
                "HuggingFaceFW/fineweb-2:kor_Hang": 0.0032,
                "HuggingFaceFW/fineweb-2:hin_Deva": 0.0032,
                "HuggingFaceFW/fineweb-2:tha_Thai": 0.0032,
                "epfml/FineWeb2-HQ:vie_Latn": 5e-05,
                "epfml/FineWeb2-HQ:ell_Grek": 0.0022,
                "HuggingFaceTB/finemath:infiwebmath-3plus": 0.002,
                "HuggingFaceTB/finemath:finemath-3plus": 0.002,
                "HuggingFaceTB/finemath:infiwebmath-4plus": 0.02,
                "finemath": 0.025,
                "megamath": 0.066,
                "stack_edu": 0.2117,
                "the_stack_v2": 0.0216,
                "open_math_instruct_2": 0.005,
                "nvidia/OpenMathReasoning::cot": 0.005,
                "nvidia/OpenCodeReasoning:split_0:split_0": 0.0005,
                "facebook/natural_reasoning": 0.001,
                "allenai/dolmino-mix-1124:math": 0.0066,
            },
            SMOLLM3.format(
                "stage3_9T_11T.yaml",
                f"{LATER}; multilingual Wikipedia is English, and rewrites of TinyGSM and GSM8K are Dolmino's math",
            ),
        ),
        PublishedMixture(
            "olmo2-midtraining",
            "OLMo 2 midtraining",
            "What OLMo 2 7B is midtrained on: 50B tokens of Dolmino Mix 1124.",
            {
                "allenai/dolmino-mix-1124:dclm": 0.472,
                "allenai/dolmino-mix-1124:flan": 0.166,
                "allenai/dolmino-mix-1124:pes2o": 0.0585,
                "allenai/dolmino-mix-1124:wiki": 0.0711,
                "allenai/dolmino-mix-1124:stackexchange": 0.0245,
                "allenai/dolmino-mix-1124:math": 0.208,
            },
            "allenai/OLMo, configs/official-1124/OLMo2-7B-stage2-seed42.yaml: the tokens that it says of each source,"
            " 51.5B together, rounded as in arXiv:2501.00656",
        ),
        PublishedMixture(
            "olmo3-midtraining",
            "OLMo 3 midtraining",
            "What OLMo 3 7B is midtrained on: web pages 22.5%, code 20%, mathematics 20%, questions and answers 13.9%,"
            " reasoning 7.5%, instructions 6.1%, science PDFs 5%, a STEM crawl 5%.",
            {"dolmino_1025": 1.0},
            "allenai/OLMo-core, src/olmo_core/data/source_mixtures/OLMo3-7B-midtraining-official.yaml; the set"
            " is mixed already, so it is one corpus here",
        ),
    )
}
