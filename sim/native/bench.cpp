// The Verilated core in a plain C++ loop, with the same memory model, checkers and counters as under
// cocotb but without Python: what the speed of the testbench is compared with.
//
//   simulator DRAM_FILE NBYTES [set NAME VALUE]... [write ADDRESS VALUE]...
//
// `set` gives an option of the monitor, `write` a register, the last one being the launch. DRAM is
// the file's first NBYTES, which the run changes. Prints the cycles and the CPU seconds of the run.
#include <fcntl.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include "Vtop.h"
#include "monitor.h"
#include "verilated.h"

namespace {

constexpr int RESET_CYCLES = 4, TIMEOUT = 1000;

void fail(const char *what, const char *which) {
    std::fprintf(stderr, "%s: %s\n", what, which);
    std::exit(2);
}

uint64_t number(const char *text) { return std::strtoull(text, nullptr, 0); }

double cpu_seconds() {
    timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

struct Clock {
    Vtop &top;
    void fall() {
        top.clk = 0;
        top.eval();
    }
    void rise() {
        top.clk = 1;
        top.eval();
    }
};

// One register write: each request stays until it is taken, then the response comes.
void write(Vtop &top, Clock clock, uint32_t address, uint32_t value) {
    top.s_axi_awaddr = static_cast<uint16_t>(address);
    top.s_axi_wdata = value;
    top.s_axi_awvalid = top.s_axi_wvalid = 1;
    for (int cycle = 0; cycle < TIMEOUT; ++cycle) {
        clock.fall();  // the core sees the requests from here on
        const bool address_taken = top.s_axi_awvalid && top.s_axi_awready;
        const bool data_taken = top.s_axi_wvalid && top.s_axi_wready;
        const bool answered = top.s_axi_bvalid;
        clock.rise();
        if (address_taken) top.s_axi_awvalid = 0;
        if (data_taken) top.s_axi_wvalid = 0;
        if (answered) return;
    }
    fail("no answer to a register write", "is the core stuck?");
}

}  // namespace

int main(int argc, char **argv) {
    if (argc < 3) fail("usage", "simulator DRAM_FILE NBYTES [set NAME VALUE] [write ADDRESS VALUE]");
    VerilatedContext context;
    Vtop top{&context};
    Clock clock{top};
    const int file = open(argv[1], O_RDWR);
    if (file < 0 || vta_map(file, number(argv[2])) != 0) fail("cannot map", argv[1]);
    top.rst = top.s_axi_bready = top.s_axi_rready = 1;
    top.s_axi_wstrb = 0xF;
    for (int cycle = 0; cycle <= RESET_CYCLES; ++cycle) {
        if (cycle == RESET_CYCLES) top.rst = 0;
        clock.fall();
        clock.rise();
    }
    for (int n = 3; n + 2 < argc; n += 3)
        if (!std::strcmp(argv[n], "set") && vta_set(argv[n + 1], number(argv[n + 2])))
            fail("no such option", argv[n + 1]);
    vta_begin();
    const double started = cpu_seconds();
    for (int n = 3; n + 2 < argc; n += 3)
        if (!std::strcmp(argv[n], "write"))
            write(top, clock, static_cast<uint32_t>(number(argv[n + 1])),
                  static_cast<uint32_t>(number(argv[n + 2])));
    while (!top.wake) {
        clock.fall();
        clock.rise();
    }
    const double seconds = cpu_seconds() - started;
    if (vta_get("wake") != FINISHED) fail("the run did not finish", argv[1]);
    std::printf("%llu %.6f\n",
                static_cast<unsigned long long>(vta_get("finished") - vta_get("launched")), seconds);
    return 0;
}
