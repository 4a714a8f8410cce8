"""The gallery: python -m figures draws it. Each figure is a file in simtool/plots; README.md shows what came out."""
