// The simulation's monitor: called by wrapper.sv at every rising edge, asked by the testbench
// between runs. It connects the port to the memory model and the checkers, counts the cycles of a
// run, records events, and wakes Python when a run has finished, hangs, or is to stop.
#include "monitor.h"

#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <deque>
#include <string>
#include <unordered_map>
#include <vector>

#include "checker.h"
#include "memory.h"
#include "svdpi.h"
#include "trace.h"

namespace {

using namespace vta;

// A stage started (kind 0 to 2: load, compute, store) or retired (3 to 5) instruction `value`, or one
// of these, which sim/timeline/events.py explains.
enum Kind : uint16_t { STATES = 6, BUS = 7, READ_BURST = 8, WRITE_BURST = 9, END = 10 };
struct Event {
    uint64_t cycle;
    uint16_t kind;
    uint16_t beats;
    uint32_t value;
};

// A run's life: begin, the launch write's W handshake, the finish flag seen low, then high.
enum Phase : uint64_t { IDLE, ARMED, LAUNCHED, ACTIVE };

constexpr uint64_t DESERTED_CYCLES = 1 << 14;  // less than a second, waves or not

struct Monitor {
    Memory memory;
    Violations violations;
    AxiChecker axi_checker{violations};
    LiteChecker lite_checker{violations};
    Axi port{};  // the model's outputs as they stand on the port
    uint64_t bus_bytes = 8;

    uint64_t insn = 0;  // byte address of the first instruction
    uint64_t check = 1, record = 0, max_cycles = ~0ull, no_progress = 20000;  // options
    uint64_t asleep = 0;
    uint64_t from_cycle = 1, to_cycle = 0;  // the window of waves; empty
    uint64_t launching = 0;                 // the launch is what is written next
    bool launch_waits = false;              // it is there, and not taken yet

    uint64_t phase = IDLE, wake = RUNNING, cycle = 0, launched = 0, finished = 0, progress = 0;
    std::vector<Event> events;
    uint32_t bus = 0;  // as the last event of kind BUS has it
    std::deque<uint32_t> lite_addresses;
    std::deque<std::pair<uint64_t, uint32_t>> lite_data;  // cycle, data

    uint8_t *dram = nullptr;
    uint64_t dram_bytes = 0;
    uint64_t unshared[2] = {};
    volatile uint64_t *shared = unshared;
    int socket = -1;

    void begin();
    bool deserted() const;
    void watch(const Axi &now, bool busy);
    void record_bus(const Axi &now);
    void lite_write(const Lite &now);
    void stop(Wake reason, uint64_t at) {
        if (record) events.push_back({at, END, 0, static_cast<uint32_t>(reason)});
        wake = reason;
        phase = IDLE;
    }
};

Monitor monitor;

// Everything that has a name for vta_set and vta_get.
const std::unordered_map<std::string, uint64_t *> VALUES = {
    {"base", &monitor.memory.options.base},
    {"size", &monitor.memory.options.size},
    {"latency", &monitor.memory.options.latency},
    {"stall_seed", &monitor.memory.options.stall_seed},
    {"stall_rate", &monitor.memory.options.stall_rate},
    {"stall_length", &monitor.memory.options.stall_length},
    {"out_of_order", &monitor.memory.options.out_of_order},
    {"insn", &monitor.insn},
    {"check", &monitor.check},
    {"record", &monitor.record},
    {"trace", &trace.on},
    {"trace_values", &trace.recording},
    {"max_cycles", &monitor.max_cycles},
    {"no_progress", &monitor.no_progress},
    {"asleep", &monitor.asleep},
    {"from_cycle", &monitor.from_cycle},
    {"to_cycle", &monitor.to_cycle},
    {"launching", &monitor.launching},
    {"wake", &monitor.wake},
    {"cycle", &monitor.cycle},
    {"launched", &monitor.launched},
    {"finished", &monitor.finished},
    {"progress", &monitor.progress},
    {"violations", &monitor.violations.count},
    {"bus_bytes", &monitor.bus_bytes},
    {"stalled_ar", &monitor.memory.stalled[AR]},
    {"stalled_r", &monitor.memory.stalled[R]},
    {"stalled_aw", &monitor.memory.stalled[AW]},
    {"stalled_w", &monitor.memory.stalled[W]},
    {"stalled_b", &monitor.memory.stalled[B]},
    {"accepted_ar", &monitor.memory.accepted[AR]},
    {"accepted_r", &monitor.memory.accepted[R]},
    {"accepted_aw", &monitor.memory.accepted[AW]},
    {"accepted_w", &monitor.memory.accepted[W]},
    {"accepted_b", &monitor.memory.accepted[B]},
};

void Monitor::begin() {
    memory.begin(static_cast<int>(bus_bytes));
    violations.clear();
    trace.begin();
    memory.log = trace.on != 0;
    memory.written.clear();
    axi_checker.begin(static_cast<uint32_t>(bus_bytes));
    lite_checker.begin();
    events.clear();
    bus = 0;
    lite_addresses.clear();
    lite_data.clear();
    phase = ARMED;
    wake = RUNNING;
    launching = launch_waits = 0;
    launched = finished = progress = cycle;
    shared[0] = 0;
}

// Whether the process that asked for the run has gone, looked at once in a while.
bool Monitor::deserted() const {
    if (socket < 0 || cycle % DESERTED_CYCLES) return false;
    pollfd other{socket, POLLRDHUP, 0};
    return poll(&other, 1, 0) > 0;
}

// Follow the run, and wake Python at its end.
void Monitor::watch(const Axi &now, bool busy) {
    const bool transfer = (now.ar.valid && now.ar.ready) || (now.r.valid && now.r.ready) ||
                          (now.aw.valid && now.aw.ready) || (now.w.valid && now.w.ready) ||
                          (now.b.valid && now.b.ready);
    if (transfer || busy) progress = cycle;
    if (phase == LAUNCHED && !now.finish) phase = ACTIVE;
    shared[0] = cycle - launched;
    if (phase == ACTIVE && now.finish) {
        finished = cycle - 1;  // the edge that set the flag
        stop(FINISHED, finished);
    } else if (cycle - launched >= max_cycles) {
        stop(MAX_CYCLES, cycle);
    } else if (cycle - progress >= no_progress) {
        stop(NO_PROGRESS, cycle);
    } else if (shared[1] || deserted()) {
        stop(STOPPED, cycle);
    }
}

// Record the bursts that are asked for, and when the data channels begin or stop to move.
void Monitor::record_bus(const Axi &now) {
    const auto burst = [&](const Address &asked, Kind kind) {
        const auto beats = static_cast<uint16_t>(asked.len + 1);
        if (asked.valid && asked.ready) events.push_back({cycle, kind, beats, asked.address});
    };
    burst(now.ar, READ_BURST);
    burst(now.aw, WRITE_BURST);
    const uint32_t moves = (now.r.valid && now.r.ready) | (now.w.valid && now.w.ready) << 1;
    if (moves != bus) events.push_back({cycle, BUS, 0, moves});
    bus = moves;
}

// Find the launch: 1 written to bit 0 of the register at address 0.
void Monitor::lite_write(const Lite &now) {
    if (now.aw.valid && now.aw.ready) lite_addresses.push_back(now.aw.address);
    if (now.w.valid && now.w.ready) lite_data.emplace_back(cycle, now.w.data & now.w.strobes & 1);
    while (!lite_addresses.empty() && !lite_data.empty()) {
        if (phase == ARMED && lite_addresses.front() == 0 && lite_data.front().second) {
            launched = progress = lite_data.front().first;
            phase = LAUNCHED;
        }
        lite_addresses.pop_front();
        lite_data.pop_front();
    }
}

Address address_of(bool valid, bool ready, uint32_t address, uint32_t attributes) {
    return {valid, ready, address,
            attributes & 0xFF, attributes >> 8 & 7, attributes >> 11 & 3,
            attributes >> 13 & 15, attributes >> 17 & 15, attributes >> 21 & 7};
}

template <class T> int write_file(const char *path, const std::vector<T> &items) {
    std::FILE *file = std::fopen(path, "wb");
    if (!file) return errno;
    const size_t count = items.size();
    const bool whole = std::fwrite(items.data(), sizeof(T), count, file) == count;
    const int error = whole ? 0 : errno;
    return std::fclose(file) ? errno : error;
}

}  // namespace

// Called by wrapper.sv -----------------------------------------------------------------------------
extern "C" {

void vta_bus(unsigned int bytes) { monitor.bus_bytes = bytes; }

// `flags`: arvalid 0, rready 1, awvalid 2, wvalid 3, wlast 4, bready 5, rst 6, finish 7, busy 8.
// `attributes`: len 7:0, size 10:8, burst 12:11, id 16:13, cache 20:17, prot 23:21.
// `outputs`: arready 0, awready 1, wready 2, rvalid 3, rlast 4, rresp 6:5, rid 10:7, bvalid 11,
// bresp 13:12, bid 17:14, wake 18, record 19, trace 20, its values 21.
void vta_axi_edge(uint64_t cycle, unsigned int flags, unsigned int araddr,
                  unsigned int ar_attributes, unsigned int awaddr, unsigned int aw_attributes,
                  unsigned int wstrb, const svBitVecVal *wdata, unsigned int *outputs,
                  svBitVecVal *rdata) {
    Monitor &m = monitor;
    Axi &port = m.port;
    m.cycle = cycle;
    Axi now = port;
    now.ar = address_of(flags & 1, port.ar.ready, araddr, ar_attributes);
    now.aw = address_of(flags >> 2 & 1, port.aw.ready, awaddr, aw_attributes);
    now.r.ready = flags >> 1 & 1;
    now.b.ready = flags >> 5 & 1;
    now.w.valid = flags >> 3 & 1;
    now.w.last = flags >> 4 & 1;
    now.w.strobes = wstrb;
    std::memcpy(now.w.data, wdata, m.bus_bytes);
    now.reset = flags >> 6 & 1;
    now.finish = flags >> 7 & 1;

    if (m.check) m.axi_checker.edge(cycle, now);
    m.memory.edge(now, port);
    for (const auto &[address, byte] : m.memory.written) trace.stored(cycle, address, byte);
    m.memory.written.clear();
    if (m.phase != IDLE) {
        if (m.record) m.record_bus(now);
        m.watch(now, flags >> 8 & 1);
    }

    *outputs = port.ar.ready | port.aw.ready << 1 | port.w.ready << 2 | port.r.valid << 3 |
               port.r.last << 4 | port.r.response << 5 | port.r.id << 7 | port.b.valid << 11 |
               port.b.response << 12 | port.b.id << 14 |
               static_cast<uint32_t>(m.wake != RUNNING) << 18 |
               static_cast<uint32_t>(m.record && m.phase != IDLE) << 19 |
               static_cast<uint32_t>(trace.on != 0) << 20 |
               static_cast<uint32_t>(trace.recording != 0) << 21;
    std::memcpy(rdata, port.r.data, m.bus_bytes);
}

// Called while the register port is active. `flags`, from bit 0: valid and ready of AW, W, B, AR,
// R, then rst, bresp (2 bits) and rresp (2 bits).
void vta_lite_edge(uint64_t cycle, unsigned int flags, unsigned int awaddr, unsigned int araddr,
                   unsigned int wdata, unsigned int wstrb, unsigned int rdata) {
    monitor.cycle = cycle;  // the calls of one edge come in any order
    Lite now{};
    now.aw = {flags & 1, flags >> 1 & 1, awaddr, 0};
    now.w = {flags >> 2 & 1, flags >> 3 & 1, wdata, wstrb, 0};
    now.b = {flags >> 4 & 1, flags >> 5 & 1, 0, 0, flags >> 11 & 3};
    now.ar = {flags >> 6 & 1, flags >> 7 & 1, araddr, 0};
    now.r = {flags >> 8 & 1, flags >> 9 & 1, rdata, 0, flags >> 13 & 3};
    now.reset = flags >> 10 & 1;
    if (monitor.check) monitor.lite_checker.edge(cycle, now);
    if (monitor.phase == ARMED) monitor.lite_write(now);
    monitor.launch_waits = monitor.launching && now.w.valid && !now.w.ready;
}

// Bit n of `strobes`: event kind n holds in this cycle, of the instruction `value_n`.
void vta_events(uint64_t cycle, unsigned int strobes, unsigned int value_0, unsigned int value_1,
                unsigned int value_2, unsigned int value_3, unsigned int value_4,
                unsigned int value_5) {
    monitor.progress = cycle;
    const unsigned int values[] = {value_0, value_1, value_2, value_3, value_4, value_5};
    Progress &progress = monitor.violations.progress;
    for (uint32_t stage = 0; stage < STAGES; ++stage) {
        if (strobes >> stage & 1) progress.started[stage] = values[stage];
        if (strobes >> (STAGES + stage) & 1) progress.retired[stage] = values[STAGES + stage];
    }
    if (!monitor.record || monitor.phase == IDLE) return;
    for (uint16_t kind = 0; kind < 6; ++kind)
        if (strobes >> kind & 1) monitor.events.push_back({cycle, kind, 0, values[kind]});
}

void vta_states(uint64_t cycle, unsigned int states) {
    monitor.events.push_back({cycle, STATES, 0, states});
}

// Whether the next write of a register is the launch, or was it: waves count cycles from there.
unsigned char vta_launching() { return monitor.launching != 0; }

// Word 0 or 1 of an instruction, as it stands in DRAM now.
uint64_t vta_instruction(unsigned int index, unsigned int word) {
    const uint64_t at = monitor.insn - monitor.memory.options.base + 16ull * index + 8 * word;
    uint64_t bits = 0;
    if (at + 8 <= monitor.dram_bytes) std::memcpy(&bits, monitor.dram + at, 8);
    return bits;
}

// Called by the testbench --------------------------------------------------------------------------
int vta_map(int fd, uint64_t nbytes) {
    if (monitor.dram) munmap(monitor.dram, monitor.dram_bytes);
    void *mapped = mmap(nullptr, nbytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    monitor.dram = mapped == MAP_FAILED ? nullptr : static_cast<uint8_t *>(mapped);
    monitor.dram_bytes = monitor.dram ? nbytes : 0;
    monitor.memory.map(monitor.dram, monitor.dram_bytes);
    return monitor.dram ? 0 : errno;
}

int vta_share(int fd) {
    void *mapped = mmap(nullptr, 16, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mapped == MAP_FAILED) return errno;
    monitor.shared = static_cast<volatile uint64_t *>(mapped);
    return 0;
}

void vta_follow(int socket) { monitor.socket = socket; }

// At a time between two edges the next one is meant: there the core samples what the waves show.
bool vta_in_window() {
    const Monitor &m = monitor;
    if (m.phase == ARMED) return m.launch_waits && m.from_cycle == 0;
    const uint64_t cycle = m.cycle + 1 - m.launched;
    return m.launching && m.from_cycle <= cycle && cycle <= m.to_cycle;
}

bool vta_asleep() { return monitor.asleep != 0; }

int vta_set(const char *name, uint64_t value) {
    const auto found = VALUES.find(name);
    if (found == VALUES.end()) return -1;
    *found->second = value;
    return 0;
}

uint64_t vta_get(const char *name) {
    const auto found = VALUES.find(name);
    return found == VALUES.end() ? ~0ull : *found->second;
}

void vta_add_fault(uint64_t start, uint64_t end, int write, int response, uint64_t nth) {
    monitor.memory.faults.push_back(
        {start, end, write != 0, static_cast<Response>(response), nth, 0});
}

void vta_clear_faults() { monitor.memory.faults.clear(); }

void vta_begin() { monitor.begin(); }

const char *vta_violation(uint64_t n, int64_t facts[2 + 2 * STAGES]) {
    const auto &first = monitor.violations.first;
    if (n >= first.size()) return "";
    const Violation &violation = first[n];
    *facts++ = violation.cycle;
    *facts++ = violation.address;
    for (const int64_t *each : {violation.progress.started, violation.progress.retired})
        facts = std::copy_n(each, STAGES, facts);
    return violation.text.c_str();
}

int vta_write_events(const char *path) { return write_file(path, monitor.events); }

void vta_trace_wanted(unsigned int unit, uint64_t first, uint64_t skip, uint64_t count) {
    if (unit < UNITS) trace.wanted[unit] = {first, skip, count};
}

int vta_write_passes(unsigned int unit, const char *path) {
    return write_file(path, trace.passes(static_cast<Unit>(unit)));
}

int vta_write_records(const char *path) { return write_file(path, trace.records()); }
}
