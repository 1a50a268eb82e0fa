// The simulator's main program under cocotb: the clock, Python's callbacks, the waves.
//
//   simulator [--trace] [--trace-file FILE] [--trace-window]
//
// --trace-window: only the cycles of each run's window (vta_in_window).
//
// While Python waits for `wake` and nothing else (vta_asleep), only the model is evaluated, and nobody
// looks for callbacks at each step of time.
#include <cstdio>
#include <cstring>
#include <memory>

#include "Vtop.h"
#include "monitor.h"
#include "verilated.h"
#include "verilated_vpi.h"
#if VM_TRACE_FST
#include "verilated_fst_c.h"
using Waves = VerilatedFstC;
#elif VM_TRACE
#include "verilated_vcd_c.h"
using Waves = VerilatedVcdC;
#endif

extern "C" void vlog_startup_routines_bootstrap();  // cocotb's

namespace {

constexpr uint64_t HALF_PERIOD = 5000;  // ps

struct Simulation {
    VerilatedContext &context;
    Vtop top{&context, ""};  // without a name in front of the hierarchy
    uint64_t next_edge = HALF_PERIOD;
#if VM_TRACE
    std::unique_ptr<Waves> waves;
    bool windowed = false;
#endif

    void dump() {
#if VM_TRACE
        if (waves && (!windowed || vta_in_window())) waves->dump(context.time());
#endif
    }
    void edge() {
        context.time(next_edge);
        next_edge += HALF_PERIOD;
        top.clk = !top.clk;
    }
    static void change() {
        while (VerilatedVpi::callValueCbs()) {
        }
    }
    // Evaluate until neither the model nor Python changes anything more at this time.
    void settle() {
        do {
            do {
                top.eval_step();
                VerilatedVpi::clearEvalNeeded();
                VerilatedVpi::doInertialPuts();
                change();
            } while (VerilatedVpi::evalNeeded());
            VerilatedVpi::callCbs(cbReadWriteSynch);
            VerilatedVpi::doInertialPuts();
            change();
        } while (VerilatedVpi::evalNeeded());
        top.eval_end_step();
        VerilatedVpi::callCbs(cbReadOnlySynch);
        dump();
    }
    // One step of time, to the next clock edge or to a timer of Python's.
    void step() {
        const uint64_t timer = VerilatedVpi::cbNextDeadline();
        const bool at_edge = next_edge <= timer;
        context.time(at_edge ? next_edge : timer);
        VerilatedVpi::callCbs(cbNextSimTime);
        change();
        VerilatedVpi::callTimedCbs();
        change();
        if (at_edge) edge();  // Python sees it behind the model
        settle();
    }
    // Steps without Python, up to the edge at which `wake` rises.
    void sleep() {
        for (;;) {
            edge();
            top.eval_step();
            if (top.wake || context.gotFinish()) return settle();
            top.eval_end_step();
            dump();
        }
    }
};

}  // namespace

int main(int argc, char **argv) {
    VerilatedContext &context = *Verilated::threadContextp();
    context.commandArgs(argc, argv);
    context.fatalOnVpiError(false);  // cocotb asks for things that may not be there
    Simulation simulation{context};
    const char *file = "waves";
    bool wanted = false, windowed = false;
    for (int n = 1; n < argc; ++n) {
        if (!std::strcmp(argv[n], "--trace")) wanted = true;
        if (!std::strcmp(argv[n], "--trace-window")) windowed = true;
        if (!std::strcmp(argv[n], "--trace-file") && n + 1 < argc) file = argv[n + 1];
    }
    if (wanted && !VM_TRACE) {
        std::fprintf(stderr, "%s: --trace: a simulator without waves: build the variant waves\n", file);
        return 2;
    }
#if VM_TRACE
    context.traceEverOn(true);
    if (wanted) {
        simulation.waves = std::make_unique<Waves>();
        simulation.top.trace(simulation.waves.get(), 99);
        simulation.waves->dumpvars(99, "wrapper");  // Verilator has its ports a second time
        simulation.waves->open(file);
        simulation.windowed = windowed;
    }
#endif
    vlog_startup_routines_bootstrap();
    VerilatedVpi::callCbs(cbStartOfSimulation);
    Simulation::change();
    simulation.settle();
    while (!context.gotFinish()) {
        if (vta_asleep() && !simulation.top.wake)
            simulation.sleep();
        else
            simulation.step();
    }
    simulation.top.final();
    VerilatedVpi::callCbs(cbEndOfSimulation);
#if VM_TRACE
    if (simulation.waves) simulation.waves->close();
#endif
    return context.errorCount() > 0;
}
