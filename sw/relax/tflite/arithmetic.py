"""How TFLite's reference kernels round: gemmlowp's fixed-point multiplication, and others' halves.

A factor is a multiplier of 31 bits and a power of two. A product is rounded twice: to the upper 32
bits, halves up, and after the shift to the right, halves away from zero.
"""

from math import frexp

import numpy as np

__all__ = ["Factor", "divided", "factor_of", "scaled", "scaled_once"]

Factor = tuple[int, int]  # multiplier, and by how much the product is shifted to the left


def factor_of(real: float) -> Factor:
    """A real factor as TFLite stores it."""
    if real == 0:
        return 0, 0
    fraction, shift = frexp(real)
    multiplier = int(np.floor(fraction * (1 << 31) + 0.5))
    if multiplier == 1 << 31:
        multiplier, shift = multiplier // 2, shift + 1
    return (0, 0) if shift < -31 else (multiplier, shift)


def scaled(values: np.ndarray, factors: list[Factor]) -> np.ndarray:
    """Whole numbers times a factor, or each place of the last axis times its own: int64."""
    multipliers = np.array([multiplier for multiplier, _ in factors], np.int64)
    shifts = np.array([shift for _, shift in factors], np.int64)
    left, right = np.maximum(shifts, 0), np.maximum(-shifts, 0)
    wide = np.asarray(values, np.int64) * (1 << left)
    wide = (wide + (1 << 31)) % (1 << 32) - (1 << 31)  # as int32 wraps around
    product = wide * multipliers
    nudge = np.where(product >= 0, 1 << 30, 1 - (1 << 30))
    high = np.minimum(_toward_zero(product + nudge, 1 << 31), (1 << 31) - 1)
    mask = (1 << right) - 1
    rest = high & mask
    limit = (mask >> 1) + (high < 0)
    return (high >> right) + (rest > limit)


def scaled_once(values: np.ndarray, factors: list[Factor]) -> np.ndarray:
    """The same, rounded once, halves up, as dense layers do it."""
    multipliers = np.array([multiplier for multiplier, _ in factors], np.int64)
    shifts = 31 - np.array([shift for _, shift in factors], np.int64)
    return (np.asarray(values, np.int64) * multipliers + (1 << (shifts - 1))) >> shifts


def divided(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Quotients, halves away from zero."""
    half = counts // 2
    return _toward_zero(np.where(values > 0, values + half, values - half), counts)


def _toward_zero(values: np.ndarray, by: np.ndarray | int) -> np.ndarray:
    return np.sign(values) * (np.abs(values) // by)
