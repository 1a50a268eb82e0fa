"""``python -m sim.bench`` is `vta bench`."""

import sys

from sim.cli import main

sys.exit(main(["bench", *sys.argv[1:]]))
