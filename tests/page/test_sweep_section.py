"""What proxy runs say, on a page: how text ranks, what runs add, the mixture, and a doubt where there is one."""

import pytest

from simtool.page.gather import gather
from simtool.page.sections import sections
from simtool.page.sweep import load_sweep_tables
from simtool.page.sweep_section import swept
from tests.prediction.toys import sweep_report


@pytest.fixture
def folder(tmp_path):
    sweep_report().save(tmp_path / "regmix")
    return tmp_path / "regmix"


def test_the_tables_become_three_charts_with_their_numbers(folder):
    page = swept(load_sweep_tables(folder)).html()
    assert page.count("<svg") == page.count("<figure") == 3
    assert "regmix: runs that differ in their mixture alone, and their losses on 1 target." in page
    # text knows the order of the losses, and its opposite turns it round
    assert "<td>mean</td>" not in page and "+1.00" in page and "-1.00" in page
    # the shares of the toy's mixture, the largest first
    assert page.index(">75.0<") < page.index(">25.0<")
    assert ">16<" in page  # the runs that the law was fitted on, as a tick and in the table
    assert "mean loss 2.900 by the model, whose error on runs held out is 0.100; the best run has 3.000." in page
    assert "it extrapolates" not in page


def test_a_promise_beyond_twice_the_error_is_doubted(tmp_path):
    sweep_report(predicted=2.79).save(tmp_path)
    assert "it extrapolates" in swept(load_sweep_tables(tmp_path)).html()


def test_it_stands_before_the_matrix(folder):
    findings = gather(["gsm8k", "sciq"], sweep=folder, views=("token.token",), resamples=20)
    assert [section.key for section in sections(findings)][:3] == ["mixture", "sweep", "matrix"]
