// What each instruction writes: a digest of it, and on request the values themselves.
//
// The units that write are each in order, so the nth pass of a unit is that of its nth instruction
// (or of several that were folded). Nothing here knows the program: sim/divergence compares.
#pragma once
#include <cstdint>
#include <vector>

#include "scratchpads.h"

namespace vta {

// The units, in the order of sim/divergence/trace.py.
enum Unit : uint32_t { LOAD, LOAD_COMPUTE, GEMM, ALU, STORE, UNITS };

// One instruction of a unit, or several folded into one pass.
struct Pass {
    uint64_t digest;        // the sum of a hash of each write
    uint64_t first, last;   // cycles of the first and the last write
    uint32_t writes;
    uint32_t instructions;  // 0: it has not ended
    uint32_t lost;          // writes that did not arrive in their scratchpad
    uint32_t unused;
};

// A write of a recorded pass, before its `nbytes` of values.
enum RecordKind : uint32_t {
    WRITTEN,   // what was written to `entry`, or for GEMM and the ALU the step's result
    LOST,      // what `entry` holds instead of the result before
    OPERANDS,  // of the step before: INP `entry` and WGT `info`; or the ALU's two operands
};
struct Record {
    uint64_t cycle;
    uint32_t unit, kind, entry, info, nbytes, unused;
};

// Which writes to record: `count` from `skip` on, of the pass that begins with the unit's
// instruction `first`.
struct Wanted {
    uint64_t first = 0, skip = 0, count = 0;
};

class Trace {
  public:
    uint64_t on = 0;         // digests
    uint64_t recording = 0;  // values of what is `wanted`
    Wanted wanted[UNITS];

    // Bytes of a bus beat, and the configuration.
    void shape(uint32_t beat, uint32_t batch, uint32_t block);
    void begin();
    // At an edge, before it:
    // A beat (or zeros, or nothing with `count` 0) on its way into a scratchpad.
    void loaded(Unit unit, uint32_t memory, uint32_t pos, uint32_t count, uint32_t part, bool zero,
                bool last);
    // The result of a GEMM, reset or ALU step; `writes`: it goes to ACC, not just to the next step.
    void stepped(uint64_t cycle, Unit unit, uint32_t entry, bool writes, uint32_t instructions,
                 const uint32_t *value);
    // Zero flags of a row of entries.
    void flagged(uint32_t row, uint32_t row_size, const uint32_t *mask, uint32_t instructions);
    // What a GEMM or ALU step works on, some cycles before its result.
    void operands(uint64_t cycle, Unit unit, uint32_t src, uint32_t wgt, const uint32_t *first,
                  uint32_t first_bytes, const uint32_t *second, uint32_t second_bytes);
    void stored(uint64_t cycle, uint32_t address, uint8_t value);  // a byte in DRAM
    void store_done(uint64_t cycle);
    // Behind the edge: whether what was written has arrived.
    void settle(uint64_t cycle);

    std::vector<Pass> passes(Unit unit) const;  // the last one may not have ended
    const std::vector<uint8_t> &records() const { return records_; }

  private:
    struct Landing {  // entries written at this edge
        Unit unit;
        uint32_t memory, entry, count;
        uint32_t ends;  // instructions that end with it
    };
    struct Operands {
        uint64_t cycle = ~0ull;
        uint32_t src = 0, wgt = 0;
        std::vector<uint8_t> bytes;
    };
    struct Byte {
        uint64_t cycle;
        uint32_t address;
        uint8_t value;
    };

    void add(uint64_t cycle, Unit unit, uint32_t memory, uint32_t entry, const void *bytes,
             uint32_t nbytes);
    void end(uint64_t cycle, Unit unit, uint32_t instructions);
    void land(uint64_t cycle, const Landing &landing);
    void compare(uint64_t cycle, const Landing &landing);
    void record(uint64_t cycle, Unit unit, RecordKind kind, uint32_t entry, uint32_t info,
                const void *bytes, uint32_t nbytes);
    void record_operands(uint64_t cycle, Unit unit);
    uint32_t read(uint32_t memory, uint32_t entry, uint8_t *to) const;  // how many bytes
    bool zero_flag(uint32_t entry) const;
    uint32_t bytes_of(uint32_t memory) const;
    void check_arrays() const;
    Pass &owing();

    uint32_t beat_ = 8, batch_ = 1, block_ = 16;
    std::vector<Array> banks_[3], acc_, out_, flags_;  // banks_: UOP, WGT, INP
    Pass now_[UNITS] = {};
    uint64_t begun_[UNITS] = {};  // the unit's instructions before `now_`
    std::vector<Pass> ended_[UNITS];
    std::vector<Landing> landings_;
    std::vector<uint8_t> result_;  // of the one step that writes to ACC at this edge
    uint64_t owed_cycle_ = ~0ull;  // a GEMM step did not write: the next one writes `owed_entry_`
    uint32_t owed_entry_ = 0;
    std::vector<Byte> stored_;  // by STOREs that are not done
    Operands operands_[UNITS][8];
    std::vector<uint8_t> records_;
};

extern Trace trace;

}  // namespace vta
