"""Every corpus known by name, with all that is known of it. To add one, write its entry in `ENTRIES`.

A render reads the columns of the hub and the fields of the usual files alike. Prompts are bare, as in the
paper (arXiv:2510.14865): no chat template; the response follows the prompt after a newline, which belongs to
the prompt. Role: general text is pretrained on, specialised text is mixed in at midtraining, SFT sets are the
targets of posttraining. A target's colour has the hue of the corpus that is meant for it: code blue, mathematics
orange, instructions green.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from simtool.corpora.corpus import Corpus, Document, Row, Segment, plain_text, prompt_and_response
from simtool.corpora.generators import Generated
from simtool.corpora.hub import Hub, Hubs
from simtool.corpora.layouts import Messages, TextFields
from simtool.corpora.packages import Packages
from simtool.errors import unknown


@dataclass(frozen=True)
class Pair:
    """A render for prompt and response; "a|b" is the first of these fields that a row has."""

    prompt: str
    response: str

    def __call__(self, row: Row) -> Document:
        return prompt_and_response(_first(row, self.prompt), _first(row, self.response), "\n")


def _first(row: Row, names: str) -> str:
    known = names.split("|")
    return row[next((name for name in known if name in row), known[0])]


STARCODER_TAGS = re.compile(r"\A(?:<(?:reponame|filename|gh_stars)>[^<\n]*)+\n?")


def render_starcoder(row: Row) -> Document:
    """Without the repository's name and stars, which open some files of the hub as tags."""
    return plain_text(STARCODER_TAGS.sub("", _first(row, "content|text")))


def render_wikipedia(row: Row) -> Document:
    """The hub keeps the title apart; in the files the text begins with it."""
    text, title = row["text"], row.get("title") or ""
    return plain_text(text if text.startswith(title) else f"{title}\n\n{text}")


def render_imdb(row: Row) -> Document:
    return plain_text(re.sub(r"(<br ?/?>)+", "\n", row["text"]))


def render_knowledge(row: Row) -> Document:
    """Natural Questions gives a list of answers, TriviaQA a record of one; MedQuAD left some out."""
    answer = row["answer"]
    if isinstance(answer, dict):
        answer = answer["value"]
    elif isinstance(answer, list):
        answer = answer[0]
    return prompt_and_response(row["question"], answer, "\n") if answer else Document(())


def render_pycode(row: Row) -> Document:
    """The whole docstring, then the function without it: on the hub the function still holds it."""
    documentation, code = row["func_documentation_string"], row["func_code_string"]
    return prompt_and_response(documentation, _without_docstring(code, documentation), "\n")


def _without_docstring(code: str, documentation: str) -> str:
    # by search and not by ast, because CodeSearchNet holds Python 2 too
    start = code.find(documentation)
    before = code[: max(start, 0)].rstrip()
    quote = before[-3:]
    if not documentation or quote not in ('"""', "'''"):
        return code
    after = code[start + len(documentation) :].lstrip()
    if not after.startswith(quote):
        return code
    return before[:-3].rstrip("rRuU \t\n") + "\n" + after[3:].lstrip(" \t").removeprefix("\n")


def render_lima(row: Row) -> Document:
    """Questions and replies in turn, of which the last reply is learnt; LIMA's test questions have none."""
    turns = row["conversations"]
    n_read = max(1, len(turns) // 2 * 2)  # a last question without a reply is left out
    segments: list[Segment] = []
    for n, text in enumerate(turns[:n_read], 1):
        is_reply = n % 2 == 0
        segments.append(Segment("assistant" if is_reply else "user", text + "", is_reply and n == n_read))
        if not segments[-1].counted:
            segments.append(Segment("template", "\n", False))
    return Document(tuple(segments))


def render_sciq(row: Row) -> Document:
    support = row["support"]
    return prompt_and_response((support + "\n" if support else "") + row["question"], row["correct_answer"], "\n")


def render_social_iqa(row: Row) -> Document:
    right = {"1": "answerA", "2": "answerB", "3": "answerC"}[str(row["label"]).strip()]
    return prompt_and_response(row["context"] + " " + row["question"], row[right], "\n")


TREC_CLASSES = {
    "ABBR": "abbreviation",
    "ENTY": "entity",
    "DESC": "description",
    "HUM": "human",
    "LOC": "location",
    "NUM": "number",
}


def render_trec(row: Row) -> Document:
    """The class is a number on the hub and a code in the files; it is answered in words."""
    label = row["coarse_label"]
    code = list(TREC_CLASSES)[label] if isinstance(label, int) else label
    return prompt_and_response(row["text"], TREC_CLASSES[code], "\n")


def render_mr(row: Row) -> Document:
    """The label is a number on the hub and text in the files."""
    return prompt_and_response(row["text"].strip(), {"0": "negative", "1": "positive"}[str(row["label"])], "\n")


FUNCTION_EXAMPLE = {
    "func_name": "halve",
    "func_documentation_string": "Divide a number by two, rounding towards zero.",
    "func_code_string": "def halve(number):\n    half = number / 2\n    return int(half)",
}

CHAT_EXAMPLE = {
    "messages": [
        {"role": "user", "content": "Name a river in Vienna."},
        {"role": "assistant", "content": "The Danube."},
        {"role": "user", "content": "And a smaller one?"},
        {"role": "assistant", "content": "The Wien, which the city is said to be named after."},
    ]
}

PAGES = "https://huggingface.co/datasets"

ENTRIES = (
    # What the paper pretrains on, and what it mixes in
    Corpus(
        name="c4",
        title="C4",
        about="English web pages of 2019, cleaned by rules: the paper's pretraining text and its control.",
        role="general",
        licence="ODC-BY 1.0, and Common Crawl's terms of use",
        render=TextFields("text"),
        example={"text": "Our bakery opens at seven. Come early for rye bread, or order it the day before."},
        source=Hub("allenai/c4", "en"),
        files={"c4": None},
        color="#666666",
        has_reference=True,
    ),
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
    # The paper's targets
    Corpus(
        name="pycode",
        title="PyCode",
        about="CodeSearchNet's Python functions, each asked for by its docstring: the code target.",
        role="sft",
        licence="each repository its own",
        render=render_pycode,
        example=FUNCTION_EXAMPLE,
        # the original repository was a loading script; this is the same data as parquet
        source=Hub("claudios/code_search_net", "python"),
        files={
            "pycode": None,
            "pycode_like": "docstring -> function pairs from 18 permissive repositories, not CodeSearchNet",
        },
        same_domain="starcoder",
        n_examples=10_000,
        color="#56B4E9",
        marker="o",
        has_reference=True,
    ),
    Corpus(
        name="gsm8k",
        title="GSM8K",
        about="Grade-school word problems, each with its solution step by step: the maths target.",
        role="sft",
        licence="MIT",
        render=Pair("question", "answer"),
        example={
            "question": "Ida bakes 3 trays of 12 rolls and sells 30. How many are left?",
            "answer": "Ida bakes 3 * 12 = <<3*12=36>>36 rolls.\n36 - 30 = <<36-30=6>>6 are left.\n#### 6",
        },
        source=Hub("openai/gsm8k", "main"),
        files={"gsm8k": None},
        train_on="response",
        same_domain="math",
        n_examples=7_473,
        color="#E69F00",
        marker="s",
        has_reference=True,
    ),
    Corpus(
        name="lima",
        title="LIMA",
        about="A thousand careful answers to open questions: the target of general prose.",
        role="sft",
        licence="CC BY-NC-SA 4.0, or stricter where a source is",
        render=render_lima,
        example={
            "conversations": [
                "How do I keep basil alive?",
                "Give it light, and water the soil only.",
            ]
        },
        source=Hub("GAIR/lima", data_files=("train.jsonl",)),  # beside it stands a loading script
        files={"lima": None},
        access=f"Accept the terms at {PAGES}/GAIR/lima, then: hf auth login",
        n_examples=1_030,
        color="#88CCAA",
        marker="^",
        has_reference=True,
    ),
    Corpus(
        name="sciq",
        title="SciQ",
        about="School science questions with a supporting paragraph and a short answer.",
        role="sft",
        licence="CC BY-NC 3.0",
        render=render_sciq,
        example={
            "question": "What carries water from a plant's roots to its leaves?",
            "distractor1": "bark",
            "distractor2": "sap",
            "distractor3": "pollen",
            "correct_answer": "xylem",
            "support": "Water climbs in narrow vessels called xylem.",
        },
        source=Hub("allenai/sciq"),
        files={"sciq": None},
        train_on="response",
        n_examples=11_679,
        color="#882255",
        marker="D",
        has_reference=True,
    ),
    # The targets of its appendix
    Corpus(
        name="social_iqa",
        title="Social IQA",
        about="Questions on what people in a scene want, feel or do next, with the right answer of three.",
        role="sft",
        licence="not stated by its authors; research use",
        render=render_social_iqa,
        example={
            "context": "Noor lent Sam her bicycle for a week.",
            "question": "What will Sam want to do next?",
            "answerA": "thank Noor",
            "answerB": "buy a boat",
            "answerC": "sleep for a week",
            "label": "1",
        },
        source=Hub("allenai/social_i_qa", revision="refs/convert/parquet", data_files=("default/train/*.parquet",)),
        files={"social_iqa": None},
        train_on="response",
        color="#44AA99",
        marker="v",
        has_reference=True,
    ),
    Corpus(
        name="trec",
        title="TREC",
        about="Short factual questions, to be sorted by what kind of answer they want.",
        role="sft",
        licence="not stated by its authors; research use",
        render=render_trec,
        example={"text": "How many bridges cross the Danube in Vienna ?", "coarse_label": 5},
        source=Hub("CogComp/trec", revision="refs/convert/parquet", data_files=("default/train/*.parquet",)),
        files={"trec": None},
        train_on="response",
        color="#AA4499",
        marker="P",
        has_reference=True,
    ),
    Corpus(
        name="mr",
        title="MR",
        about="Sentences of film reviews, to be called positive or negative.",
        role="sft",
        licence="not stated by its authors (Pang and Lee, 2005); research use",
        render=render_mr,
        example={"text": "a slow film that earns every minute of its patience .", "label": 1},
        source=Hub("cornell-movie-review-data/rotten_tomatoes"),
        files={"mr": None, "rotten_tomatoes_mr": None},
        train_on="response",
        color="#332288",
        marker="X",
        has_reference=True,
    ),
    # What is trained on today
    Corpus(
        name="fineweb_edu",
        title="FineWeb-Edu",
        about="English web pages that a classifier found educational, a sample of 10B tokens.",
        role="general",
        licence="ODC-BY 1.0, and Common Crawl's terms of use",
        render=TextFields("text"),
        example={"text": "Tides rise and fall twice a day, because the moon pulls at the sea on both sides."},
        source=Hub("HuggingFaceFW/fineweb-edu", "sample-10BT"),
        files={"fineweb_edu": None},
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
        name="tulu3",
        title="Tulu 3 SFT",
        about="The SFT mixture of Tulu 3: chats on knowledge, mathematics, code, safety and instructions.",
        role="sft",
        licence="ODC-BY 1.0; each part keeps its own",
        render=Messages("messages"),
        example=CHAT_EXAMPLE,
        source=Hub("allenai/tulu-3-sft-mixture"),
        files={"tulu3": None},
        train_on="response",
    ),
    Corpus(
        name="smol_smoltalk",
        title="Smol-SmolTalk",
        about="The chats of SmolTalk that suit models below 1B parameters: short, of few turns.",
        role="sft",
        licence="Apache-2.0",
        render=Messages("messages"),
        example=CHAT_EXAMPLE,
        source=Hub("HuggingFaceTB/smol-smoltalk"),
        files={"smol_smoltalk": None},
        train_on="response",
    ),
    Corpus(
        name="ultrachat",
        title="UltraChat 200k",
        about="Chats of several turns between two models, filtered for quality.",
        role="sft",
        licence="MIT",
        render=Messages("messages"),
        example=CHAT_EXAMPLE,
        source=Hub("HuggingFaceH4/ultrachat_200k", split="train_sft"),
        files={"ultrachat": None},
        train_on="response",
    ),
    Corpus(
        name="no_robots",
        title="No Robots",
        about="Ten thousand instructions and answers, all written by people.",
        role="sft",
        licence="CC BY-NC 4.0",
        render=Messages("messages"),
        example=CHAT_EXAMPLE,
        source=Hub("HuggingFaceH4/no_robots"),
        files={"no_robots": None},
        train_on="response",
    ),
    Corpus(
        name="openthoughts3",
        title="OpenThoughts3",
        about="Questions on mathematics, code and science, answered with long chains of thought.",
        role="sft",
        licence="Apache-2.0",
        render=Messages("conversations"),
        example={
            "conversations": [
                {"from": "human", "value": "Is 91 prime?"},
                {"from": "gpt", "value": "<think>91 = 7 * 13.</think>No: it is 7 times 13."},
            ]
        },
        source=Hub("open-thoughts/OpenThoughts3-1.2M"),
        files={"openthoughts3": None},
        train_on="response",
    ),
    # General text beside C4
    Corpus(
        name="wikipedia",
        about="English Wikipedia articles as plain text: edited prose on everything.",
        role="general",
        licence="CC BY-SA 3.0",
        render=render_wikipedia,
        example={"title": "Salt lamp", "text": "A salt lamp is a lamp carved from a block of rock salt."},
        source=Hub("wikimedia/wikipedia", "20231101.en"),
        files={"wikipedia": None, "wikipedia_en": None},
    ),
    Corpus(
        name="imdb_reviews",
        about="Whole film reviews by viewers: prose of the same domain as `mr`, and much more of it.",
        role="general",
        licence="research use (Maas et al., 2011)",
        render=render_imdb,
        example={"text": "I went in cold and came out shaken.<br /><br />The last scene alone is worth the fare."},
        source=Hub("stanfordnlp/imdb", split="unsupervised"),
        files={"imdb_reviews": None},
    ),
    Corpus(
        name="openstax_textbooks",
        about="College textbooks of all subjects but maths: long, edited, instructive prose.",
        role="general",
        licence="CC BY-NC-SA 4.0, some books CC BY 4.0",
        render=TextFields("text"),
        example={"text": "Supply and Price\n\nWhen a harvest fails, less grain is offered, and its price rises."},
        source=None,
        files={"openstax_textbooks": None},
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
        name="novels",
        about="English novels of the 19th and early 20th century in pieces of a few pages.",
        role="general",
        licence="public domain",
        render=TextFields("text"),
        example={"text": "The coach was late, and Miss Pell, who had never been late, did not forgive it."},
        source=None,
        files={"novels": None, "novels_en": None},
    ),
    Corpus(
        name="news",
        about="English news articles of 2016 and 2017, each after its title.",
        role="general",
        licence="articles remain their publishers'; research use",
        render=TextFields("text"),
        example={"text": "Ferry Returns to the Bay\n\nAfter two winters in dock the ferry sailed again on Monday."},
        source=None,
        files={"news": None, "news_articles": None},
    ),
    Corpus(
        name="digitalgov",
        about="Advice of the United States government on building websites: plain, practical prose.",
        role="general",
        licence="CC0",
        render=TextFields("text"),
        example={"text": "Write for the person who is in a hurry. Put the answer first and the reasons below it."},
        source=None,
        files={"digitalgov": None},
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
    # What every machine has. The functions come from other files than source and docstrings, so that a model
    # may be midtrained on those and fine-tuned on these.
    Corpus(
        name="python_source",
        title="Python source",
        about="Source files of the Python packages installed here: code without a network.",
        role="specialised",
        licence="each package its own",
        render=TextFields("text"),
        example={"text": "def area(width, height):\n    return width * height\n", "distribution": "shapes"},
        source=Packages("source", half=0),
        color="#1F5FA8",
    ),
    Corpus(
        name="python_docstrings",
        title="Python docstrings",
        about="Docstrings of the Python packages installed here: technical prose without a network.",
        role="specialised",
        licence="each package its own",
        render=TextFields("text"),
        example={"text": "Measure a rectangle.\n\nBoth sides are given in metres.", "distribution": "shapes"},
        source=Packages("docstrings", half=0),
        color="#777777",
    ),
    Corpus(
        name="python_functions",
        title="Python functions",
        about="Functions of the Python packages installed here, each asked for by its docstring.",
        role="sft",
        licence="each package its own",
        render=render_pycode,
        example=FUNCTION_EXAMPLE,
        source=Packages("functions", half=1),
        same_domain="python_source",
        color="#7FC4EE",
        marker="o",
    ),
    # What is made here: generated text, of any length, which stands in for nothing
    Corpus(
        name="gen_drills",
        title="Drills",
        about="Generated school mathematics: rules, worked examples and steps, all equations true.",
        role="specialised",
        licence="Apache-2.0",
        render=TextFields("text"),
        example={"text": "Lowest terms\n\nReduce 6/8.\nOn top: 6 / 2 = 3.\nUnderneath: 8 / 2 = 4.\nSo, 6/8 = 3/4."},
        source=Generated("drills"),
        color="#C44E00",
    ),
    Corpus(
        name="gen_facts",
        title="Facts",
        about="Generated encyclopaedia of one invented world: its towns, people, species and rivers.",
        role="specialised",
        licence="Apache-2.0",
        render=TextFields("text"),
        example={"text": "Palendale\n\nPalendale lies in Torvania, by the river Elith. Its workshops make rope."},
        source=Generated("facts"),
        color="#D48CB6",
    ),
    Corpus(
        name="gen_chat",
        title="Chat",
        about="Generated transcripts: customers and clerks, friends who plan, neighbours.",
        role="specialised",
        licence="Apache-2.0",
        render=TextFields("text"),
        example={"text": "Kim: swim on Friday?\nNoa: oh no, I work late on Friday :("},
        source=Generated("chat"),
        color="#117755",
    ),
    Corpus(
        name="gen_problems",
        title="Problems",
        about="Generated word problems for school children, each answered step by step to a number.",
        role="sft",
        licence="Apache-2.0",
        render=Pair("prompt", "response"),
        example={
            "prompt": "Hana keeps 3 jars of 8 figs each. Later she sells 4 of them. How many figs are still there?",
            "response": "The jars hold 3 * 8 = 24 figs.\nAfter that, 24 - 4 = 20 are still there.\n#### 20",
        },
        source=Generated("problems"),
        train_on="response",
        same_domain="gen_drills",
        color="#F0B030",
        marker="s",
    ),
    Corpus(
        name="gen_questions",
        title="Questions",
        about="Generated questions on the world of `gen_facts`, open, after a passage or with four answers.",
        role="sft",
        licence="Apache-2.0",
        render=Pair("prompt", "response"),
        example={
            "prompt": "What does Palendale produce?\nA) ink\nB) rope\nC) maps\nD) bells",
            "response": "B) rope. The workshops of Palendale make rope.",
        },
        source=Generated("questions"),
        train_on="response",
        same_domain="gen_facts",
        color="#6E1B44",
        marker="D",
    ),
    Corpus(
        name="gen_dialogue",
        title="Dialogue",
        about="Generated requests with helpful answers of some sentences: how-to, ideas, advice, letters.",
        role="sft",
        licence="Apache-2.0",
        render=Pair("prompt", "response"),
        example={
            "prompt": "I forget the names of people I meet. What can I do?",
            "response": "Many people know this. I would begin here: repeat the name at once. Ask how it is spelled.",
        },
        source=Generated("dialogue"),
        same_domain="gen_chat",
        color="#9FD8BE",
        marker="^",
    ),
)

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
