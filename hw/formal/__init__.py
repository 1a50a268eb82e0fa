"""Formal proofs about units of the core: properties in Amaranth, proved by SymbiYosys and z3."""
