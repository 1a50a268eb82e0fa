"""Tests of the estimate of cycles; `tests/sim/test_estimate.py` has those against the RTL."""
