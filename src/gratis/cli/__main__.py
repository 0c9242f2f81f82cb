"""``python -m gratis.cli``."""

from gratis.cli import main

main()
