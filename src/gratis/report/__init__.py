"""Results as tables, figures and pages, without torch."""

from gratis.report.bar_chart import figure1
from gratis.report.gallery import choose
from gratis.report.hardened import what_changed
from gratis.report.listing import list_runs, listing_table
from gratis.report.model_card import CardFacts, claims, model_card
from gratis.report.page import write_page
from gratis.report.paired import (
    Comparison,
    Paired,
    as_p,
    compare,
    explain,
    over_seeds,
    paired_cell,
    paired_to_markdown,
)
from gratis.report.results_csv import to_csv
from gratis.report.results_table import header, narrow_table, to_markdown, write_tables
from gratis.report.rows import Row, group
from gratis.report.runs import read_runs
from gratis.report.sections import checks_table, remedies, suite_tables
from gratis.report.table import Cell, Table, TableRow, count, markdown_table, plain
from gratis.report.terminal import print_table
from gratis.report.two_models import compare_two, pair_table

__all__ = [
    "CardFacts",
    "Cell",
    "Comparison",
    "Paired",
    "Row",
    "Table",
    "TableRow",
    "as_p",
    "checks_table",
    "choose",
    "claims",
    "compare",
    "compare_two",
    "count",
    "explain",
    "figure1",
    "group",
    "header",
    "list_runs",
    "listing_table",
    "markdown_table",
    "model_card",
    "narrow_table",
    "over_seeds",
    "pair_table",
    "paired_cell",
    "paired_to_markdown",
    "plain",
    "print_table",
    "read_runs",
    "remedies",
    "suite_tables",
    "to_csv",
    "to_markdown",
    "what_changed",
    "write_page",
    "write_tables",
]
