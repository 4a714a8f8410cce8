"""Every study known by name. To add one, write a function that returns its Study and name it in PRESETS.

Figures of the paper are arXiv:2510.14865's: 61,035 steps of 1,024 sequences of 2,048 tokens; starts are shares of them.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from simtool.errors import SimtoolError, unknown
from simtool.mixture import SHARE, Mixture, parse_mixture
from simtool.studies.plan import HALVES, Arm, Study, arms_of
from simtool.training.sizes import find_defaults

C4 = Mixture({"c4": 1.0})
PAPER_STEPS, PAPER_STEP = 61_035, 1_024 * 2_048
PAPER_TARGETS = ("pycode", "gsm8k", "lima", "sciq")


def quick() -> Study:
    """Minutes on two cores, offline: text that every machine has, and text that is generated.

    Where nano ends well below the unigram entropy of its text (docs/studies.md): 328k tokens per arm, up to 24k of SFT.
    """
    prose, tokens, start, share = Mixture({"python_docstrings": 1.0}), 327_680, 0.5, 0.3
    specials = ("python_source", "gen_drills", "gen_facts", "gen_chat")
    targets = ("python_functions", "gen_problems", "gen_questions", "gen_dialogue")
    room = 1.3 * tokens  # a fifth of a text is held out
    return Study(
        "quick",
        "Installed packages' docstrings, then their source, generated mathematics, facts or chat; four targets of SFT.",
        prose,
        arms_of(prose, [(name, share) for name in specials], (start,), cpt=["python_source"]),
        targets,
        {
            "python_docstrings": round(room),
            **{name: round(room * (1 - start) * (1 if name == "python_source" else share)) for name in specials},
            **dict.fromkeys(targets, 48_000),
            "gen_dialogue": 20_000,  # of 48,000, a third of the held-out dialogues stand nearly whole in the others
        },
        tokens=tokens,
        target_shares=HALVES,
        batch_size=4,
        sft_batch_size=8,
        held_out=100,
        profiled=300_000,
        same_domain=_same_domain(specials, targets),
    )


def graded() -> Study:
    """Relations of every degree, on real text, where nano learns language: nine mixtures, two of CPT, seven targets."""
    blend = Mixture({"wikipedia": 0.55, "openstax_textbooks": 0.25, "news": 0.15, "c4": 0.05})
    specials = (
        *("starcoder", "math", "math_deepmind", "openstax_math_textbooks", "flan"),
        *("knowledgeqa", "imdb_reviews", "novels", "digitalgov"),
    )
    cpt = ("starcoder", "math")
    targets = ("pycode", "gsm8k", "lima", "sciq", "social_iqa", "trec", "mr")
    tokens, start, share = 6_144_000, 0.6, 0.25
    room = 1.3 * tokens  # a fifth of a text is held out
    return Study(
        "graded",
        "A blend of general text, then nine mixtures at a quarter and continued pretraining; seven targets of SFT.",
        blend,
        arms_of(blend, [(name, share) for name in specials], (start,), cpt=cpt),
        targets,
        {
            **{name: round(room * weight) for name, weight in blend.weights.items()},
            **{name: round(room * (1 - start) * (1 if name in cpt else share)) for name in specials},
            **dict.fromkeys(targets, 200_000),
        },
        tokens=tokens,
        target_shares=HALVES,
        batch_size=16,
        same_domain=(
            *(("starcoder", "pycode"), ("math", "gsm8k"), ("math_deepmind", "gsm8k")),
            *(("openstax_math_textbooks", "gsm8k"), ("knowledgeqa", "sciq"), ("knowledgeqa", "trec")),
            ("imdb_reviews", "mr"),
        ),
    )


def graded_timing() -> Study:
    """When and how much, at the size of `graded`: StarCoder at two shares from three starts, each in four designs."""
    return _timing("graded-timing", "nano", graded(), ("pycode", "gsm8k"), shares=(0.1, 0.2), matched=(0.1, 0.2))


def shared_mini() -> Study:
    """Real corpora, 14m to 70m, one GPU, under an hour: a blend of general text, five mixtures, CPT, four targets."""
    web = Mixture({"c4": 0.04, "wikipedia": 0.56, "openstax_textbooks": 0.2, "imdb_reviews": 0.2})
    mids = [("starcoder", 0.2), ("math", 0.12), ("flan", 0.05), ("knowledgeqa", 0.2), ("openstax_math_textbooks", 0.2)]
    return Study(
        "shared-mini",
        "A blend of general text, then the paper's mixtures (proxy corpora) and continued pretraining; four targets.",
        web,
        arms_of(web, mids, cpt=["starcoder", "math"]),
        PAPER_TARGETS,
        {**dict.fromkeys(web.weights), **dict.fromkeys(name for name, _ in mids), **dict.fromkeys(PAPER_TARGETS)},
        models=("14m", "31m", "70m"),
        tokens=40_000_000,
        sequence_length=1024,
        batch_size=64,
        sft_rates=(1e-4, 3e-4),
        sft_epochs=2,
        sft_batch_size=64,
        tokenizer="pythia",
        precision="bf16",
        held_out=400,
        same_domain=_same_domain(("starcoder", "math"), PAPER_TARGETS),
    )


def timing_weight() -> Study:
    """When and how much, on one GPU: StarCoder at three shares from three starts, in four designs, at 14m."""
    return _timing("timing-weight", "14m", shared_mini(), targets=("pycode", "gsm8k"))


def paper(model: str) -> Study:
    """The paper's recipe: 128B tokens, five mixtures from their own starts, CPT, four targets, five seeds of SFT."""
    mids = (
        *(("starcoder", 0.2, 6_000), ("math", 0.12, 20_000), ("flan", 0.05, 40_000)),
        *(("knowledgeqa", 0.2, 40_000), ("dclm", 0.2, 40_000), ("starcoder", 1.0, 40_000), ("math", 1.0, 50_000)),
    )
    arms = [Arm("control", "control", C4, "", 0.0, 6_000 / PAPER_STEPS)]
    for name, weight, step in mids:
        mixture = Mixture({name: 1.0} if weight == 1 else {"c4": 1 - weight, name: weight})
        kind = "cpt" if weight == 1 else "midtrain"
        arms.append(Arm(f"{name}:{weight:g}", kind, mixture, name, weight, step / PAPER_STEPS, control="control"))
    total = PAPER_STEPS * PAPER_STEP
    used = {arm.special: arm.weight * (1 - arm.start) for arm in arms[1:]}
    return Study(
        f"paper-{model}",
        "The recipe of arXiv:2510.14865: C4, five midtraining mixtures from their own starts, CPT, four SFT targets.",
        C4,
        tuple(arms),
        PAPER_TARGETS,
        # a fifth is held out, and texts that are smaller than asked for are repeated, at most four times
        {"c4": round(1.3 * total), **{name: round(1.3 * share * total) for name, share in used.items()},
         **dict.fromkeys(PAPER_TARGETS)},
        models=(model,),
        seeds=(0, 1, 2, 3, 4),
        seeds_from="sft",
        tokens=total,
        sequence_length=2_048,
        batch_size=1_024,
        learning_rate={model: 3e-4},
        warmup_fraction=0.1,
        min_lr_ratio=1e-6 / 3e-4,
        sft_rates=(4e-6, 2e-5, 1e-4),
        sft_epochs=4,
        sft_batch_size=64,
        train_on={"gsm8k": "response", "pycode": "text", "lima": "text"},
        tokenizer="pythia",
        precision="bf16",
        held_out=None,
        same_domain=_same_domain(("starcoder", "math"), PAPER_TARGETS),
    )  # fmt: skip


def _timing(
    name: str,
    model: str,
    like: Study,
    targets: tuple[str, ...],
    shares: Sequence[float] = (0.1, 0.2, 0.4),
    matched: Sequence[float] = (0.2,),
) -> Study:
    """StarCoder from three starts at each share as the paper does it, and at each of `matched` in the other designs."""
    starts = (0.2, 0.5, 0.8)
    arms = [
        arm
        for design in ("paper", "exposure", "rate", "both")
        for arm in arms_of(
            like.pretrain,
            [("starcoder", share) for share in (shares if design == "paper" else matched)],
            starts,
            design,
            reference=starts[0],
        )
    ]
    needed = {corpus for arm in arms for corpus in arm.mixture.weights} | {*targets}
    return replace(
        like,
        name=name,
        about="StarCoder at several shares from three starts; and with exposure, learning rate, or both held fixed.",
        arms=tuple(arms),
        targets=targets,
        models=(model,),
        texts={corpus: tokens for corpus, tokens in like.texts.items() if corpus in needed},
        same_domain=_same_domain(["starcoder"], targets),
    )


def _same_domain(specials: Sequence[str], targets: Sequence[str]) -> tuple[tuple[str, str], ...]:
    # here: the names of presets stand in the help, which needs no catalogue
    from simtool.corpora.catalogue import same_domain_pairs

    return same_domain_pairs(specials, targets)


PRESETS: dict[str, Callable[[], Study]] = {
    "quick": quick,
    "graded": graded,
    "graded-timing": graded_timing,
    "shared-mini": shared_mini,
    "timing-weight": timing_weight,
    **{f"paper-{model}": (lambda model=model: paper(model)) for model in ("70m", "160m", "410m", "1b")},
}


def find_preset(name: str) -> Study:
    """The study of this name; SimtoolError with the nearest names if there is none."""
    if name not in PRESETS:
        raise unknown("study", name, PRESETS)
    return PRESETS[name]()


# of sizes that are made for a CPU, and of the others
SMALL_SETTINGS: dict[str, Any] = {
    "sequence_length": 128,
    "batch_size": 8,
    "sft_rates": (1e-3,),
    "sft_epochs": 1,
    "sft_batch_size": 16,
    "tokenizer": "small",
    "precision": "fp32",
}
LARGE_SETTINGS: dict[str, Any] = {
    "sequence_length": 2_048,
    "batch_size": 32,
    "sft_rates": (3e-5, 1e-4, 3e-4),
    "sft_epochs": 4,
    "sft_batch_size": 64,
    "tokenizer": "default",
    "precision": "bf16",
}
SMALL_SEQUENCES = 512  # a size whose own sequences are no longer is made for a CPU


def study_of_flags(
    pre: str,
    mid: Sequence[str],
    targets: Sequence[str],
    model: str,
    tokens: int,
    n_seeds: int,
    cpt: Sequence[str] = (),
    start: float = 0.5,
) -> Study:
    """A study from what is typed: a control, an arm for each --mid and --cpt, SFT on each target."""
    pretrain, mids = parse_mixture(pre), _corpora_and_shares(mid)
    if not (mid or cpt) or not targets:
        raise SimtoolError("A study needs something to mix in (--mid starcoder:0.2) and a target (--target pycode).")
    shares: dict[str, float] = {}
    for name, share in [*mids, *((name, 1.0) for name in cpt)]:
        shares[name] = max(share, shares.get(name, 0.0))
    room = 1.3 * tokens  # a fifth of a text is held out
    return Study(
        "-".join([model, *shares, *targets]),
        f"{pretrain}, then {', '.join([*mid, *cpt])}; fine-tuned on {', '.join(targets)}.",
        pretrain,
        arms_of(pretrain, mids, (start,), cpt=cpt),
        tuple(targets),
        {
            **{name: round(room * share) for name, share in pretrain.weights.items()},
            **{name: round(room * (1 - start) * share) for name, share in shares.items()},
            **dict.fromkeys(targets),
        },
        models=(model,),
        seeds=tuple(range(n_seeds)),
        tokens=tokens,
        held_out=200,
        **(SMALL_SETTINGS if find_defaults(model).sequence_length <= SMALL_SEQUENCES else LARGE_SETTINGS),
    )


def _corpora_and_shares(mid: Sequence[str]) -> list[tuple[str, float]]:
    """[("starcoder", 0.2)] of ["starcoder:0.2"].

    Raises
    ------
    SimtoolError
        Where one is not of that form.
    """
    parts = [SHARE.match(text) for text in mid]
    if wrong := [text for text, part in zip(mid, parts, strict=True) if part is None or "+" in text]:
        raise SimtoolError(f"--mid names a corpus and its share, such as starcoder:0.2. Got {', '.join(wrong)}.")
    return [(part["corpus"], float(part["share"])) for part in parts if part is not None]
