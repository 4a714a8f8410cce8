"""python -m figures [NAME ...] [--format latex]: `simtool figures` on analyses/tables, into figures/out."""

import sys
from pathlib import Path

from simtool.cli import main

TABLES = Path(__file__).parent.parent / "analyses" / "tables"
OUT = Path(__file__).parent / "out"

if __name__ == "__main__":
    sys.argv[1:] = ["figures", "--tables", str(TABLES), "--out", str(OUT), *sys.argv[1:]]
    main()
