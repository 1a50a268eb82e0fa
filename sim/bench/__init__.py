"""The benchmark, `make bench` and `vta bench`: cycles of the core and speed of the simulation.

`targets` holds every anchor and target, `figures` what one measured number is; one module measures
one part each: `streams`, `marginal`, `buses`, `network`, `speed`. `runner` puts them together.
"""
