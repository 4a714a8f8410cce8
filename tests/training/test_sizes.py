"""A model size is one entry: what trains it and what plans with it read the same."""

import pytest

from simtool.errors import SimtoolError
from simtool.training.sizes import OF_A_FOLDER, SIZES, find_defaults


def test_sizes_are_those_that_pythia_publishes():
    published = {"70m": 18_915_328, "160m": 85_056_000, "410m": 302_311_424, "1b": 805_736_448, "1.4b": 1_208_602_624}
    assert {name: SIZES[name].shape.n_parameters for name in published} == published
    assert 0.4e6 < SIZES["nano"].shape.n_parameters < 0.6e6
    assert 1.6e6 < SIZES["micro"].shape.n_parameters < 2.4e6


@pytest.mark.parametrize("name", SIZES)
def test_defaults_are_a_size_own(name):
    defaults = find_defaults(name)
    assert defaults is SIZES[name].defaults
    assert 1e-4 <= defaults.learning_rate <= 1e-2
    assert defaults.sequence_length > 0 and defaults.batch_size > 0


def test_a_folder_has_defaults_and_an_unknown_name_has_none(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    assert find_defaults(str(tmp_path)) is OF_A_FOLDER
    with pytest.raises(SimtoolError, match=r"Unknown model '160'\. Did you mean '160m'\?"):
        find_defaults("160")
