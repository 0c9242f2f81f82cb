"""From results to tables and figures; needs no model and no torch."""

from gratis.report.figures import figure1
from gratis.report.paired import Comparison, Paired, compare, paired_to_markdown
from gratis.report.rows import Cell, Row, group
from gratis.report.table import to_csv, to_markdown, to_terminal, write_tables

__all__ = [
    "Cell",
    "Comparison",
    "Paired",
    "Row",
    "compare",
    "figure1",
    "group",
    "paired_to_markdown",
    "to_csv",
    "to_markdown",
    "to_terminal",
    "write_tables",
]
