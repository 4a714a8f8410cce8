"""One version, for the code and for the package."""

from importlib.metadata import version

import simtool
from simtool.version import __version__


def test_the_installed_package_has_the_version_of_the_code():
    assert version("simtool") == __version__ == simtool.__version__
