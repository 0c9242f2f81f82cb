"""``python -m gratis.cli``."""

import os
import sys

if sys.path and sys.path[0] in ("", os.getcwd()):
    # Python's own addition: files there must not stand in for the modules of libraries.
    del sys.path[0]

from gratis.cli import main

main()
