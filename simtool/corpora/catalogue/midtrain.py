"""Specialised text: what is mixed in at midtraining. To add a corpus, write its entry in `MIDTRAIN`."""

from simtool.corpora.catalogue.renders import Pair, render_knowledge, render_starcoder
from simtool.corpora.corpus import Corpus
from simtool.corpora.hub import PAGES, Hub, Hubs
from simtool.corpora.layouts import TextFields

MIDTRAIN = (
    Corpus(
        name="starcoder",
        title="StarCoder",
        about="Code in 86 languages with issues, commits and notebooks: what midtraining mixes in for code.",
        role="specialised",
        licence="permissive, file by file, and the terms of The Stack",
        render=render_starcoder,
        example={"content": "<reponame>us/clock<gh_stars>1-10\nint hours(int s) { return s / 3600; }\n"},
        # not all folders have the same columns, and they are sorted by language
        source=Hub("bigcode/starcoderdata", data_files=("*/*.parquet",), columns=("content",), spread=32),
        files={"starcoder": None, "starcoder_like": "code in 46 languages from 62 permissive repositories"},
        access=f"Accept the terms at {PAGES}/bigcode/starcoderdata, then: hf auth login",
        color="#0072B2",
        has_reference=True,
    ),
    Corpus(
        name="math",
        title="Math",
        about="Worked maths problems, many grown from the training sets of GSM8K and of MATH.",
        role="specialised",
        licence="MIT (MathInstruct, parts differ) and CC BY 4.0 (OpenMathInstruct-2)",
        render=Pair("instruction|problem|question", "output|generated_solution|answer"),
        example={
            "instruction": "A tram has 40 seats and 3 in 8 are taken. How many are free?",
            "output": "Taken are 40 * 3 / 8 = 15 seats, so 40 - 15 = 25 are free. The answer is 25",
        },
        # the paper's 12B tokens fit OpenMathInstruct-2 (14M solutions), not -1 (1.8M)
        source=Hubs((Hub("TIGER-Lab/MathInstruct"), Hub("nvidia/OpenMathInstruct-2"))),
        files={"math": None, "math_instruct": "MATH, MathQA, AQuA, ASDiv and others, with no GSM8K"},
        color="#D55E00",
        has_reference=True,
    ),
    Corpus(
        name="flan",
        title="FLAN",
        about="Thousands of language tasks written as instructions, some of them targets here too.",
        role="specialised",
        licence="CC BY 4.0; each task keeps the licence of its dataset",
        render=Pair("inputs", "targets"),
        example={
            "inputs": "Kind or harsh?\nThe soup was cold and so was the waiter.",
            "targets": "harsh",
        },
        source=Hub("Open-Orca/FLAN", data_files=("*_data/*.parquet",), columns=("inputs", "targets"), spread=16),
        files={"flan": None, "flan_t0": "P3/T0 and FLAN-CoT without the tasks that are targets here"},
        color="#009E73",
        has_reference=True,
    ),
    Corpus(
        name="knowledgeqa",
        title="KnowledgeQA",
        about="Factual questions with short answers: the nearest public sets to the paper's unpublished mix.",
        role="specialised",
        licence="CC BY-SA 3.0 (Natural Questions), CC BY 4.0 (MedQuAD), not stated (TriviaQA)",
        render=render_knowledge,
        example={
            "question": "which metal is liquid at room temperature",
            "answer": ["mercury", "quicksilver"],
        },
        source=Hubs(
            (
                Hub("google-research-datasets/nq_open"),
                Hub("mandarjoshi/trivia_qa", "rc.nocontext"),
                Hub("lavita/MedQuAD"),
            )
        ),
        files={"knowledgeqa": "open question-answer sets (TriviaQA, NQ, MedQuAD, P3), not the MiniCPM mix"},
        stand_in="Natural Questions, TriviaQA and MedQuAD, not the MiniCPM mix without StackOverflow",
        color="#CC79A7",
        has_reference=True,
    ),
    Corpus(
        name="dclm",
        title="DCLM",
        about="Web pages that a classifier found instructive: the general text that midtraining mixes in.",
        role="specialised",
        licence="CC BY 4.0, and Common Crawl's terms of use",
        render=TextFields("text"),
        example={"text": "Why does bread rise? Yeast eats the sugar in dough and breathes out gas, which stays."},
        # one of a hundred random parts, some 40B tokens: listing all files takes minutes
        source=Hub(
            "mlfoundations/dclm-baseline-1.0",
            data_files=("global-shard_01_of_10/local-shard_0_of_10/*.jsonl.zst*",),
        ),
        files={
            "dclm": None,
            "openstax_textbooks": "college textbooks, edited and instructive, not web pages",
        },
        color="#999933",
        has_reference=True,
    ),
    Corpus(
        name="finemath",
        title="FineMath 4+",
        about="Web pages that explain mathematics step by step, those with the highest scores.",
        role="specialised",
        licence="ODC-BY 1.0, and Common Crawl's terms of use",
        render=TextFields("text"),
        example={"text": "To add 1/2 and 1/3, write both in sixths: 3/6 + 2/6 = 5/6."},
        source=Hub("HuggingFaceTB/finemath", "finemath-4plus"),
        files={"finemath": None},
    ),
    Corpus(
        name="open_web_math",
        title="OpenWebMath",
        about="Mathematical pages and forum answers of the web, with their formulas as LaTeX.",
        role="specialised",
        licence="ODC-BY 1.0, and Common Crawl's terms of use",
        render=TextFields("text"),
        example={"text": "Let $f(x) = x^2$. Then $f'(x) = 2x$, which is zero only where $x = 0$."},
        source=Hub("open-web-math/open-web-math"),
        files={"open_web_math": None},
    ),
    Corpus(
        name="openstax_math_textbooks",
        about="College maths textbooks with their formulas written in one line: maths as prose.",
        role="specialised",
        licence="CC BY-NC-SA 4.0, some books CC BY 4.0",
        render=TextFields("text"),
        example={"text": "Slopes\n\nA line through (0, 1) and (2, 5) has slope m = (5 - 1)/(2 - 0) = 2."},
        source=None,
        files={"openstax_math_textbooks": None},
    ),
    Corpus(
        name="math_deepmind",
        about="Generated school maths questions with bare answers: maths without any reasoning in words.",
        role="specialised",
        licence="Apache-2.0",
        render=Pair("question", "answer"),
        example={"question": "What is the third smallest value in 7, -2, 1/3, 4?", "answer": "4"},
        source=None,
        files={"math_deepmind": None},
    ),
)
