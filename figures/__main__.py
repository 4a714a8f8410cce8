"""python -m figures [NAME ...]: draws the figures whose tables are in analyses/tables, or those named."""

import argparse
import sys
from pathlib import Path

from figures import ALL_FIGURES
from simtool.errors import SimtoolError
from simtool.plots.gallery import draw_figures

TABLES = Path(__file__).parent.parent / "analyses" / "tables"
OUT = Path(__file__).parent / "out"


def main(arguments: list[str]) -> None:
    options = parser().parse_args(arguments)
    draw_figures(ALL_FIGURES, options.names, options.tables, options.out, options.format == "latex", report=print)


def parser() -> argparse.ArgumentParser:
    described = argparse.ArgumentParser(prog="python -m figures", description=__doc__)
    described.add_argument("names", nargs="*", metavar="NAME", help="Figures to draw. Default: all with their tables.")
    described.add_argument("--tables", type=Path, default=TABLES, help="Folder of tables. Default: analyses/tables.")
    described.add_argument("--out", type=Path, default=OUT, help="Folder for the figures. Default: figures/out.")
    described.add_argument("--format", choices=["picture", "latex"], default="picture", help="Default: picture.")
    return described


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except SimtoolError as error:
        print(f"figures: {error}", file=sys.stderr)
        sys.exit(2)
