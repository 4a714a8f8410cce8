"""LaTeX tables: rules of booktabs, and no letter that LaTeX reads as a command."""

from simtool.plots.latex import escaped, latex_table


def test_a_table_is_written_whole_and_escaped():
    assert latex_table(["arm", "50% & more"], [["a_b", "1~2"]], "{C4} → #1") == (
        "\\begin{table}\n"
        "  \\centering\n"
        "  \\caption{\\{C4\\} $\\rightarrow$ \\#1}\n"
        "  \\begin{tabular}{lr}\n"
        "    \\toprule\n"
        "    arm & 50\\% \\& more \\\\\n"
        "    \\midrule\n"
        "    a\\_b & 1\\textasciitilde{}2 \\\\\n"
        "    \\bottomrule\n"
        "  \\end{tabular}\n"
        "\\end{table}\n"
    )


def test_a_line_break_ends_no_line():
    assert escaped("a\nb & c\t%") == r"a⏎b \& c⇥\%"
