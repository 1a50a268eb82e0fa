"""The first instruction that wrote something else than the golden model, and why.

`trace` reads what the simulator saw (native/trace.cpp), `units` says whose writes those are.
"""
