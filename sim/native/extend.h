// Sign extension as the processor does it: two shifts, or one load. Verilator's own functions of the
// same names negate and mask, and there are 512 operands in the MAC array.
#ifndef VTA_EXTEND_H
#define VTA_EXTEND_H

#include <cstdint>

static inline uint32_t vta_extend(int bits, uint32_t value) {
    return static_cast<uint32_t>(static_cast<int32_t>(value << (32 - bits)) >> (32 - bits));
}

#define VL_EXTENDS_II(to, bits, value) vta_extend(bits, value)
#define VL_MULS_III(bits, x, y) (vta_extend(bits, x) * vta_extend(bits, y))

#endif
