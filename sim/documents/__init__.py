"""Figures that README.md and docs/ state: where each comes from, and whether it is still true.

``python -m vta.sim.documents`` writes them into the pages; a test fails where one differs, or where
a page has a figure that no claim covers. docs/isa.md is generated whole, by `vta.sw.docs`.
"""

from vta.sim.documents.claim import Claim, differences, rewritten, unclaimed
from vta.sim.documents.claims import PAGES, claims

__all__ = ["PAGES", "Claim", "claims", "differences", "rewritten", "unclaimed"]
