"""The list of runs in terminals of any usual width."""

import io

import pytest
from rich.console import Console

from gratis.report.listing import Listed, listing_table
from gratis.report.terminal import print_table

WHEN = "2026-11-30T10:00:00+00:00"
RUNS = [
    Listed("runs/free", "free", "digits", "measured", 0.3, 0.2, WHEN),
    Listed("deep/stopped", "free", "", "stopped at epoch 2.5", None, None, WHEN),
]


@pytest.mark.parametrize("width", [60, 70, 80, 100])
def test_no_column_is_cut_off(width):
    console = Console(width=width, file=io.StringIO())
    print_table(listing_table(RUNS), console)
    text = console.file.getvalue()
    assert max(map(len, text.splitlines())) <= width
    assert {"clean", "robust", "30.0", "20.0"} <= set(text.split())
    shown = width >= 80
    assert ("changed" in text.split()) is shown and ("Left out" not in text) is shown
    assert not shown or text.count(":00 ") == len(RUNS)
