// The memory model behind the core's AXI4 port: DRAM in a shared mapping, latency, stalls, errors.
//
// Address channels and W are always ready (W before AW too), unless stalled. A read burst's first
// beat is valid `latency` edges after its address handshake at the earliest, then one beat an edge,
// bursts in order. A write burst's bytes reach DRAM, and its response is valid, `latency` edges
// after its last beat (or its address, if that is later).
#pragma once
#include <cstddef>
#include <deque>
#include <utility>
#include <vector>

#include "axi.h"

namespace vta {

// A burst answered with `response`: every one that touches [start, end), or, where `nth` is not 0,
// only the nth such (from 1) since `begin`.
struct Fault {
    uint64_t start, end;
    bool write;
    Response response;
    uint64_t nth;
    uint64_t seen;
};

struct MemoryOptions {
    uint64_t base = 0;     // byte address of the mapped memory
    uint64_t size = 0;     // its bytes
    uint64_t latency = 16; // edges
    uint64_t stall_seed = 0;
    uint64_t stall_rate = 0;    // probability, in 1/4096, that a stall begins on a channel in a cycle
    uint64_t stall_length = 1;  // longest stall, in cycles; lengths are uniform from 1
    uint64_t out_of_order = 0;  // 1: bursts of different IDs are answered in random order
};

class Memory {
  public:
    MemoryOptions options;
    std::vector<Fault> faults;
    bool log = false;  // keep in `written` what is written to DRAM
    std::vector<std::pair<uint32_t, uint8_t>> written;  // address and byte, until someone clears it

    // Since `begin`: cycles in which a stall held back a channel that had something to transfer,
    // and accepted beats (R, W), addresses (AR, AW) and responses (B).
    uint64_t stalled[CHANNELS] = {};
    uint64_t accepted[CHANNELS] = {};

    void map(uint8_t *bytes, size_t nbytes);  // DRAM: byte n stands at address base + n
    void begin(int bus_bytes);                // forget everything in flight; restart the seed
    // One rising edge: `now` as it stands before it (the model's own outputs included). Afterwards
    // `outputs` (ar.ready, aw.ready, w.ready, r, b) are what stands on the port next.
    void edge(const Axi &now, Axi &outputs);
    bool busy() const { return !reads_.empty() || !writes_.empty() || !beats_.empty(); }

  private:
    struct Read {
        uint64_t due;
        Address address;
        uint32_t beat;
        Response response;           // from a fault; OKAY otherwise
        std::vector<uint8_t> early;  // data taken at the address handshake; empty: beat by beat
    };
    struct Beat {
        uint32_t data[MAX_WORDS];
        uint32_t strobes;
        bool last;
    };
    struct Write {
        uint64_t due;
        Address address;
        Response response;
        bool complete;  // all its beats are here, `due` is valid
        std::vector<Beat> beats;
    };

    void accept(const Axi &now);
    void match();
    void drive_read(Axi &outputs);
    void drive_response(Axi &outputs);
    bool stall(Channel channel);
    uint64_t random();
    Response fault(const Address &address, bool write);
    Response read_beat(const Address &address, uint32_t beat, uint8_t *data) const;
    Response commit(const Write &write);
    template <class Queue> size_t choose(const Queue &queue);

    uint8_t *bytes_ = nullptr;
    uint64_t mapped_ = 0;
    uint32_t width_ = 8;  // bytes of a beat
    uint64_t now_ = 0;
    uint64_t random_ = 1, draws_ = 0;
    uint64_t stall_left_[CHANNELS] = {};
    std::deque<Read> reads_;
    std::deque<Write> writes_;
    std::deque<Beat> beats_;  // W beats whose address has not arrived
};

}  // namespace vta
