// Protocol checkers for the core's AXI4 and AXI4-Lite ports: one call an edge, violations as text.
//
// They watch both sides, the core's and the memory model's (or register driver's). Rule names are
// those of the AXI4 specification's handshake, burst and response chapters, in words.
#pragma once
#include <deque>
#include <string>
#include <vector>

#include "axi.h"

namespace vta {

constexpr int STAGES = 3;  // load, compute, store

// How far the stages have come: instructions, none at first.
struct Progress {
    int64_t started[STAGES] = {-1, -1, -1}, retired[STAGES] = {-1, -1, -1};
};

// What was broken, and when; the burst's byte address, or -1; how far the stages were.
struct Violation {
    std::string text;
    int64_t cycle, address;
    Progress progress;
};

// Only the first LIMIT are kept.
class Violations {
  public:
    static constexpr size_t LIMIT = 20;
    void add(uint64_t cycle, const std::string &what, int64_t address = -1);
    void clear();
    uint64_t count = 0;
    std::vector<Violation> first;
    Progress progress;  // now
};

class AxiChecker {
  public:
    explicit AxiChecker(Violations &violations) : violations_(violations) {}
    void begin(uint32_t bus_bytes);  // nothing is in flight
    void edge(uint64_t cycle, const Axi &now);

  private:
    struct Burst {
        Address address;
        uint32_t beats;  // seen so far
    };
    void stable(const Axi &now);
    void address(const Address &burst, const char *channel);
    void read(const Data &r);
    void write(const Data &w);
    void strobes(const Burst &burst, uint32_t beat, uint32_t strobes);
    void pair();
    void response(const WriteResponse &b);
    void idle(const Axi &now);
    void late(const Axi &now);
    void report(const std::string &what, int64_t address = -1) {
        violations_.add(cycle_, what, address);
    }

    Violations &violations_;
    uint32_t width_ = 8;
    uint64_t cycle_ = 0;
    Axi before_{};
    std::deque<Burst> reads_;
    std::deque<Address> writes_;     // addresses whose data is not complete
    std::deque<Data> data_;          // W beats whose address has not come
    uint32_t beat_ = 0;              // beats of the oldest write burst so far
    std::deque<Address> awaiting_;  // bursts whose response is due
};

class LiteChecker {
  public:
    explicit LiteChecker(Violations &violations) : violations_(violations) {}
    void begin();
    void edge(uint64_t cycle, const Lite &now);

  private:
    void stable(const Lite &now);
    Violations &violations_;
    uint64_t cycle_ = 0;
    Lite before_{};
    int addresses_ = 0, data_ = 0, reads_ = 0;  // accepted, not yet answered
};

}  // namespace vta
