"""Tests of the compiler, step by step."""
