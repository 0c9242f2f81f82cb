"""From results to tables, figures and pages; needs no model and no torch."""

from gratis.report.choice import choose
from gratis.report.figures import figure1
from gratis.report.page import write_page
from gratis.report.paired import Comparison, Paired, compare, paired_to_markdown
from gratis.report.rows import Cell, Row, group
from gratis.report.runs import Found, Run, read_runs
from gratis.report.table import to_csv, to_markdown, to_terminal, write_tables

__all__ = [
    "Cell",
    "Comparison",
    "Found",
    "Paired",
    "Row",
    "Run",
    "choose",
    "compare",
    "figure1",
    "group",
    "paired_to_markdown",
    "read_runs",
    "to_csv",
    "to_markdown",
    "to_terminal",
    "write_page",
    "write_tables",
]
