"""python -m simtool.cli"""

from simtool.cli import main

main()
