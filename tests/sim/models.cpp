// The memory model and the protocol checkers as C functions, for tests/sim/models.py (ctypes).
#include "checker.h"
#include "memory.h"

using namespace vta;

namespace {
struct Checkers {
    Violations violations;
    AxiChecker axi{violations};
    LiteChecker lite{violations};
};
}  // namespace

extern "C" {
Checkers *checkers_new(uint32_t bus_bytes) {
    auto *checkers = new Checkers;
    checkers->axi.begin(bus_bytes);
    checkers->lite.begin();
    return checkers;
}
void checkers_delete(Checkers *checkers) { delete checkers; }
void checkers_axi(Checkers *checkers, uint64_t cycle, const Axi *axi) {
    checkers->axi.edge(cycle, *axi);
}
void checkers_lite(Checkers *checkers, uint64_t cycle, const Lite *lite) {
    checkers->lite.edge(cycle, *lite);
}
uint64_t checkers_count(const Checkers *checkers) { return checkers->violations.count; }
const char *checkers_text(const Checkers *checkers, uint64_t n) {
    return checkers->violations.first[n].text.c_str();
}

Memory *memory_new(uint8_t *bytes, uint64_t nbytes, uint64_t base, uint32_t bus_bytes,
                   uint64_t latency, uint64_t seed, uint64_t rate, uint64_t length,
                   uint64_t out_of_order) {
    auto *memory = new Memory;
    memory->options = {base, nbytes, latency, seed, rate, length, out_of_order};
    memory->map(bytes, nbytes);
    memory->begin(static_cast<int>(bus_bytes));
    return memory;
}
void memory_delete(Memory *memory) { delete memory; }
void memory_fault(Memory *memory, uint64_t start, uint64_t end, int write, int response,
                  uint64_t nth) {
    memory->faults.push_back({start, end, write != 0, static_cast<Response>(response), nth, 0});
}
void memory_edge(Memory *memory, const Axi *now, Axi *outputs) { memory->edge(*now, *outputs); }
uint64_t memory_stalled(const Memory *memory, int channel) { return memory->stalled[channel]; }
uint64_t memory_accepted(const Memory *memory, int channel) { return memory->accepted[channel]; }
}
