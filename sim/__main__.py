"""``python -m vta.sim`` is the command `vta`."""

import sys

from vta.sim.cli import main

if __name__ == "__main__":
    sys.exit(main())
