// What the testbench asks of the simulation between runs (by ctypes), and of one run's state.
#pragma once
#include <cstdint>

enum Wake : uint64_t { RUNNING = 0, FINISHED = 1, MAX_CYCLES = 2, NO_PROGRESS = 3, STOPPED = 4 };

extern "C" {
// Map `nbytes` of the file `fd` as DRAM; the earlier mapping goes. 0, or errno.
int vta_map(int fd, uint64_t nbytes);
// Share two uint64 with another process: word 0 is written with the run's cycles, word 1 is read:
// when it is not 0, the run stops. 0, or errno.
int vta_share(int fd);
// Set every scratchpad of the core to zero; how many bytes of the model they take.
uint64_t vta_clear_scratchpads();
// The socket to the process that asks for runs: a run ends when that process has gone.
void vta_follow(int socket);
// Whether the present time is in a cycle, counted from the launch, that waves are wanted of.
bool vta_in_window();
// Whether Python waits for `wake` to rise, and for nothing else (the option "asleep").
bool vta_asleep();
// Options and results by name (the table `VALUES` in monitor.cpp). `vta_set` returns 0, or -1.
int vta_set(const char *name, uint64_t value);
uint64_t vta_get(const char *name);
// Answer bursts that touch bytes start to end (exclusive) with `response`; nth: 0 all, n the nth.
void vta_add_fault(uint64_t start, uint64_t end, int write, int response, uint64_t nth);
void vta_clear_faults();
// Clear all results and arm the watchdog: the next launch starts a run.
void vta_begin();
// The nth violation; `facts`: its cycle, the burst's address or -1, the instructions that load,
// compute and store had started last, and those that they had retired last, or -1.
const char *vta_violation(uint64_t n, int64_t facts[8]);
// Write the recorded events (struct Event, 16 bytes each) to a file. 0, or errno.
int vta_write_events(const char *path);
// Of the traced writes (trace.h): which values to keep; a unit's passes (struct Pass) and the
// values (struct Record) to a file: 0, or errno.
void vta_trace_wanted(unsigned int unit, uint64_t first, uint64_t skip, uint64_t count);
int vta_write_passes(unsigned int unit, const char *path);
int vta_write_records(const char *path);
}
