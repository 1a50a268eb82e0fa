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

// What was broken, and when. Only the first LIMIT texts are kept.
class Violations {
  public:
    static constexpr size_t LIMIT = 20;
    void add(uint64_t cycle, const std::string &what);
    void clear();
    uint64_t count = 0;
    std::vector<std::string> texts;
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
    void report(const std::string &what) { violations_.add(cycle_, what); }

    Violations &violations_;
    uint32_t width_ = 8;
    uint64_t cycle_ = 0;
    Axi before_{};
    std::deque<Burst> reads_;
    std::deque<Address> writes_;     // addresses whose data is not complete
    std::deque<Data> data_;          // W beats whose address has not come
    uint32_t beat_ = 0;              // beats of the oldest write burst so far
    std::deque<uint32_t> awaiting_;  // IDs of the bursts whose response is due
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
