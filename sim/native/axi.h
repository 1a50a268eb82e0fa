// One clock edge of the core's AXI4 and AXI4-Lite ports, as the memory model and the checkers see it.
//
// All members are 32-bit words, so that tests can lay the same structures out with ctypes.
#pragma once
#include <cstdint>

namespace vta {

constexpr int MAX_WORDS = 8;  // 32-bit words of the widest bus, 256 bits

// NEVER is no response of AXI: a faulty slave that leaves a burst unanswered.
enum Response : uint32_t { OKAY = 0, EXOKAY = 1, SLVERR = 2, DECERR = 3, NEVER = 4 };

enum Channel { AR, R, AW, W, B, CHANNELS };
inline const char *const CHANNEL_NAMES[] = {"AR", "R", "AW", "W", "B"};

// AR and AW.
struct Address {
    uint32_t valid, ready;
    uint32_t address;
    uint32_t len;    // beats - 1
    uint32_t size;   // log2 bytes of a beat
    uint32_t burst;  // 0 FIXED, 1 INCR, 2 WRAP
    uint32_t id, cache, prot;
};

// R (id, response) and W (strobes).
struct Data {
    uint32_t valid, ready;
    uint32_t last;
    uint32_t id, response;
    uint32_t strobes;  // bit n: byte n of the beat is written
    uint32_t data[MAX_WORDS];
};

struct WriteResponse {
    uint32_t valid, ready;
    uint32_t id, response;
};

// What stands on the port just before a rising edge.
struct Axi {
    Address ar;
    Data r;
    Address aw;
    Data w;
    WriteResponse b;
    uint32_t reset;
    uint32_t finish;  // the core's finish flag
};

struct LiteAddress {
    uint32_t valid, ready, address, prot;
};

struct LiteData {
    uint32_t valid, ready, data, strobes, response;
};

struct Lite {
    LiteAddress aw;
    LiteData w;
    LiteData b;
    LiteAddress ar;
    LiteData r;
    uint32_t reset;
};

// Byte address of beat `n` of an INCR burst.
inline uint32_t beat_address(const Address &burst, uint32_t n) {
    if (n == 0) return burst.address;
    return (burst.address >> burst.size << burst.size) + (n << burst.size);
}

}  // namespace vta
