"""Compiled networks on the command line: their tables, inputs and runs."""
