#include "trace.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "svdpi.h"

namespace vta {

Trace trace;

namespace {

// Memory types of isa.md.
enum Memory : uint32_t { UOP, WGT, INP, ACC, OUT, ACC_8BIT };
constexpr uint32_t MOST_BYTES = 8192;  // of an element

// The hash of sw/golden/digest.py: a sum of 32-bit words by odd constants, then mixed.
constexpr uint64_t PLACE = 0x9E3779B97F4A7C15u, MIX_0 = 0xBF58476D1CE4E5B9u,
                   MIX_1 = 0x94D049BB133111EBu;

uint64_t mixed(uint64_t x) {
    x = (x ^ x >> 30) * MIX_0;
    x = (x ^ x >> 27) * MIX_1;
    return x ^ x >> 31;
}

struct Factors {
    uint64_t of[MOST_BYTES / 4];
    Factors() {
        for (uint64_t n = 0; n < MOST_BYTES / 4; ++n) of[n] = mixed((n + 1) * PLACE) | 1;
    }
};
const Factors factors;

uint64_t hash(uint32_t memory, uint32_t entry, const void *bytes, uint32_t nbytes) {
    uint64_t sum = (uint64_t{memory} << 32 | entry) * PLACE;
    const auto *at = static_cast<const uint8_t *>(bytes);
    for (uint32_t n = 0; n < nbytes; n += 4) {
        uint32_t word = 0;
        std::memcpy(&word, at + n, std::min<uint32_t>(4, nbytes - n));
        sum += word * factors.of[n / 4];
    }
    return mixed(sum);
}

}  // namespace

void Trace::shape(uint32_t beat, uint32_t batch, uint32_t block) {
    beat_ = beat;
    batch_ = batch;
    block_ = block;
}

void Trace::begin() {
    if (!on) return;
    if (acc_.empty()) {
        banks_[UOP] = find_arrays("uop.bank_");
        banks_[WGT] = find_arrays("wgt.bank_");
        banks_[INP] = find_arrays("inp.bank_");
        acc_ = find_arrays("acc.acc_");
        out_ = find_arrays("acc.out_");
        flags_ = find_arrays("flags_");
        check_arrays();
    }
    for (uint32_t unit = 0; unit < UNITS; ++unit) {
        now_[unit] = Pass{};
        begun_[unit] = 0;
        ended_[unit].clear();
        for (Operands &each : operands_[unit]) each.cycle = ~0ull;
    }
    landings_.clear();
    stored_.clear();
    records_.clear();
    owed_cycle_ = ~0ull;
}

void Trace::check_arrays() const {
    bool found = !acc_.empty() && out_.size() == acc_.size() && flags_.size() == acc_.size();
    for (const uint32_t memory : {UOP, WGT, INP}) {
        const uint32_t nbytes = bytes_of(memory);
        found = found && banks_[memory].size() == std::max(nbytes / beat_, beat_ / nbytes);
    }
    if (found) return;
    std::fprintf(stderr, "trace: the scratchpads have other names than wrapper.vlt exposes\n");
    std::abort();
}

uint32_t Trace::bytes_of(uint32_t memory) const {
    const uint32_t outs = batch_ * block_;
    return memory == UOP ? 4 : memory == WGT ? block_ * block_ : memory == ACC ? 4 * outs : outs;
}

void Trace::loaded(Unit unit, uint32_t memory, uint32_t pos, uint32_t count,
                   uint32_t part, bool zero, bool last) {
    const bool whole = zero || part + 1 >= bytes_of(memory) / beat_;
    if (whole || last)
        landings_.push_back({unit, memory == ACC_8BIT ? ACC : memory, pos, whole ? count : 0, last});
}

void Trace::stepped(uint64_t cycle, Unit unit, uint32_t entry, bool writes, uint32_t instructions,
                    const uint32_t *value) {
    const uint32_t nbytes = bytes_of(ACC);
    if (unit == GEMM && owed_cycle_ != ~0ull) {
        if (owed_cycle_ + 1 != cycle || owed_entry_ != entry) ++owing().lost;
        owed_cycle_ = ~0ull;
    }
    add(cycle, unit, ACC, entry, value, nbytes);
    if (recording) record_operands(cycle, unit);
    if (writes) {
        result_.assign(reinterpret_cast<const uint8_t *>(value),
                       reinterpret_cast<const uint8_t *>(value) + nbytes);
        landings_.push_back({unit, ACC, entry, 1, instructions});
        return;
    }
    if (unit == GEMM) {
        owed_cycle_ = cycle;
        owed_entry_ = entry;
    } else {
        ++now_[unit].lost;
    }
    if (instructions) end(cycle, unit, instructions);
}

void Trace::flagged(uint32_t row, uint32_t row_size, const uint32_t *mask,
                    uint32_t instructions) {
    for (uint32_t n = 0; n < row_size; ++n)
        if (mask[n / 32] >> n % 32 & 1) landings_.push_back({GEMM, OUT, row * row_size + n, 1, 0});
    landings_.push_back({GEMM, OUT, 0, 0, instructions});
}

void Trace::operands(uint64_t cycle, Unit unit, uint32_t src, uint32_t wgt, const uint32_t *first,
                     uint32_t first_bytes, const uint32_t *second, uint32_t second_bytes) {
    Operands &kept = operands_[unit][cycle % 8];
    kept.cycle = cycle;
    kept.src = src;
    kept.wgt = wgt;
    kept.bytes.resize(first_bytes + second_bytes);
    std::memcpy(kept.bytes.data(), first, first_bytes);
    std::memcpy(kept.bytes.data() + first_bytes, second, second_bytes);
}

void Trace::record_operands(uint64_t cycle, Unit unit) {
    const uint64_t seen = cycle - (unit == GEMM ? 4 : 3);  // a step's cycle 1, or 2; results: 5
    const Operands &kept = operands_[unit][seen % 8];
    if (kept.cycle == seen)
        record(cycle, unit, OPERANDS, kept.src, kept.wgt, kept.bytes.data(),
               static_cast<uint32_t>(kept.bytes.size()));
}

void Trace::stored(uint64_t cycle, uint32_t address, uint8_t value) {
    stored_.push_back({cycle, address, value});
}

// What was committed before this edge: at it, the memory may already answer the next burst.
void Trace::store_done(uint64_t cycle) {
    size_t count = 0;
    while (count < stored_.size() && stored_[count].cycle < cycle) {
        const Byte &byte = stored_[count++];
        add(byte.cycle, STORE, OUT, byte.address, &byte.value, 1);
    }
    stored_.erase(stored_.begin(), stored_.begin() + static_cast<std::ptrdiff_t>(count));
    end(cycle, STORE, 1);
}

void Trace::settle(uint64_t cycle) {
    for (const Landing &landing : landings_) {
        if (landing.unit == GEMM || landing.unit == ALU)
            compare(cycle, landing);
        else
            land(cycle, landing);
        if (landing.ends) end(cycle, landing.unit, landing.ends);
    }
    landings_.clear();
}

// Entries that a LOAD has completed: what counts is what the scratchpad holds.
void Trace::land(uint64_t cycle, const Landing &landing) {
    uint8_t bytes[MOST_BYTES];
    for (uint32_t n = 0; n < landing.count; ++n) {
        const uint32_t nbytes = read(landing.memory, landing.entry + n, bytes);
        add(cycle, landing.unit, landing.memory, landing.entry + n, bytes, nbytes);
    }
}

// A step's result, or a zero flag (memory OUT), must be in ACC and its low bytes in OUT.
void Trace::compare(uint64_t cycle, const Landing &landing) {
    if (landing.count == 0) return;
    uint8_t bytes[MOST_BYTES];
    const bool flag = landing.memory == OUT;
    const uint32_t nbytes = read(ACC, landing.entry, bytes);
    if (flag) {
        result_.assign(nbytes, 0);
        add(cycle, GEMM, ACC, landing.entry, result_.data(), nbytes);
        if (zero_flag(landing.entry)) return;
    } else if (std::equal(result_.begin(), result_.end(), bytes)) {
        return;
    }
    ++now_[landing.unit].lost;
    record(cycle, landing.unit, LOST, landing.entry, 0, bytes, nbytes);
}

bool Trace::zero_flag(uint32_t entry) const {
    const uint32_t lanes = static_cast<uint32_t>(acc_.size()), row = entry / lanes;
    uint64_t flags = 0;
    flags_[entry % lanes].read(row / 64, reinterpret_cast<uint8_t *>(&flags), sizeof flags);
    return flags >> row % 64 & 1;
}

// An entry as a reader sees it. Where OUT is not the low bytes of ACC, those of OUT take the place
// of ACC's low bytes, so that it shows.
uint32_t Trace::read(uint32_t memory, uint32_t entry, uint8_t *to) const {
    const uint32_t nbytes = bytes_of(memory);
    if (memory == ACC) {
        const uint32_t lanes = static_cast<uint32_t>(acc_.size());
        uint8_t out[MOST_BYTES] = {};
        std::memset(to, 0, nbytes);
        if (zero_flag(entry)) return nbytes;
        acc_[entry % lanes].read(entry / lanes, to, nbytes);
        out_[entry % lanes].read(entry / lanes, out, nbytes / 4);
        for (uint32_t n = 0; n < nbytes / 4; ++n) to[4 * n] = out[n];
        return nbytes;
    }
    const uint32_t parts = std::max(1u, nbytes / beat_), lanes = std::max(1u, beat_ / nbytes);
    const uint32_t piece = nbytes / parts;
    const std::vector<Array> &banks = banks_[memory];
    for (uint32_t part = 0; part < parts; ++part)
        banks[entry % lanes * parts + part].read(entry / lanes, to + part * piece, piece);
    return nbytes;
}

// Bookkeeping --------------------------------------------------------------------------------------
void Trace::add(uint64_t cycle, Unit unit, uint32_t memory, uint32_t entry, const void *bytes,
                uint32_t nbytes) {
    Pass &pass = now_[unit];
    record(cycle, unit, WRITTEN, entry, memory, bytes, nbytes);
    if (pass.writes++ == 0) pass.first = cycle;
    pass.last = cycle;
    pass.digest += hash(memory, entry, bytes, nbytes);
}

void Trace::end(uint64_t cycle, Unit unit, uint32_t instructions) {
    Pass &pass = now_[unit];
    if (pass.writes == 0) pass.first = pass.last = cycle;
    pass.instructions = instructions;
    begun_[unit] += instructions;
    ended_[unit].push_back(pass);
    pass = Pass{};
}

std::vector<Pass> Trace::passes(Unit unit) const {
    std::vector<Pass> all = ended_[unit];
    Pass open = now_[unit];
    if (open.writes) all.push_back(open);
    if (unit == GEMM && owed_cycle_ != ~0ull && !all.empty()) ++all.back().lost;
    return all;
}

// The pass of the last GEMM step.
Pass &Trace::owing() {
    const bool ended = now_[GEMM].writes == 0 && !ended_[GEMM].empty();
    return ended ? ended_[GEMM].back() : now_[GEMM];
}

// Counted by the writes before this one; what belongs to the last write comes behind it.
void Trace::record(uint64_t cycle, Unit unit, RecordKind kind, uint32_t entry, uint32_t info,
                   const void *bytes, uint32_t nbytes) {
    if (!recording) return;
    const Wanted &want = wanted[unit];
    const uint64_t write = now_[unit].writes - (kind != WRITTEN);
    if (begun_[unit] != want.first || write < want.skip || write - want.skip >= want.count) return;
    const Record head{cycle, unit, kind, entry, info, nbytes, 0};
    const auto *from = reinterpret_cast<const uint8_t *>(&head);
    records_.insert(records_.end(), from, from + sizeof head);
    from = static_cast<const uint8_t *>(bytes);
    records_.insert(records_.end(), from, from + nbytes);
}

}  // namespace vta

// Called by trace.svh --------------------------------------------------------------------------------
using vta::trace;
using vta::Unit;

extern "C" {

void vta_trace_shape(unsigned int beat, unsigned int batch, unsigned int block) {
    trace.shape(beat, batch, block);
}

// `flags`: memory 2:0, zero 3, last 4.
void vta_trace_load(unsigned int unit, unsigned int pos, unsigned int count,
                    unsigned int part, unsigned int flags) {
    trace.loaded(static_cast<Unit>(unit), flags & 7, pos, count, part, flags >> 3 & 1,
                 flags >> 4 & 1);
}

void vta_trace_step(uint64_t cycle, unsigned int unit, unsigned int entry, unsigned int writes,
                    unsigned int instructions, const svBitVecVal *value) {
    trace.stepped(cycle, static_cast<Unit>(unit), entry, writes & 1, instructions, value);
}

void vta_trace_flags(unsigned int row, unsigned int row_size,
                     const svBitVecVal *mask, unsigned int instructions) {
    trace.flagged(row, row_size, mask, instructions);
}

void vta_trace_gemm_operands(uint64_t cycle, unsigned int src, unsigned int wgt,
                             unsigned int inp_bytes, const svBitVecVal *inp, unsigned int wgt_bytes,
                             const svBitVecVal *weights) {
    trace.operands(cycle, vta::GEMM, src, wgt, inp, inp_bytes, weights, wgt_bytes);
}

void vta_trace_alu_operands(uint64_t cycle, unsigned int src, unsigned int nbytes,
                            const svBitVecVal *x, const svBitVecVal *y) {
    trace.operands(cycle, vta::ALU, src, 0, x, nbytes, y, nbytes);
}

void vta_trace_store_done(uint64_t cycle) { trace.store_done(cycle); }

void vta_trace_settle(uint64_t cycle) { trace.settle(cycle); }
}
