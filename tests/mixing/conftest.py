"""Corpora whose best mixture is known: 0.2 web, 0.5 code and 0.3 maths are the target."""

import pytest

from simtool.profiles.profile import Profile
from tests.mixing.toys import block, corpus_of


@pytest.fixture(scope="session")
def profiles() -> dict[str, Profile]:
    web, code, maths = block(0, 30), block(25, 50), block(45, 60)
    return {
        "web": corpus_of("web", web),
        "code": corpus_of("code", code),
        "maths": corpus_of("maths", maths),
        "again": corpus_of("again", web),
        "useless": corpus_of("useless", block(30, 45)),
        "target": corpus_of("target", 0.2 * web + 0.5 * code + 0.3 * maths),
        "other": corpus_of("other", 0.9 * web + 0.1 * maths),
    }
