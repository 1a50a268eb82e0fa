"""Passes over the stream IR: none of them knows TIR."""
