"""``python -m vta.sim.documents``: write the figures into README.md and docs/."""

import sys

from vta.sim.build import ROOT
from vta.sim.documents import PAGES, claims, rewritten
from vta.sim.documents.compiler_page import PAGE as COMPILER
from vta.sim.documents.compiler_page import blocks, with_blocks
from vta.sim.documents.network_page import PAGE as NETWORKS
from vta.sim.documents.network_page import SHOWN, lasting
from vta.sim.documents.network_page import blocks as stories


def main() -> int:
    found, told = claims(), stories((ROOT / NETWORKS).read_text(encoding="utf-8"))
    for page in PAGES:
        path = ROOT / page
        before = path.read_text(encoding="utf-8")
        after = rewritten(before, [claim for claim in found if claim.page == page])
        if page == COMPILER:
            after = with_blocks(after, blocks())
        if page in SHOWN:
            after = with_blocks(after, told)
            after = before if lasting(after) == lasting(before) else after
        if after != before:
            path.write_text(after, encoding="utf-8")
            print(f"{page}: written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
