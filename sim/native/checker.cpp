#include "checker.h"

#include <cstdio>
#include <cstring>

namespace vta {
namespace {

std::string hex(uint64_t value) {
    char text[20];
    std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(value));
    return text;
}

std::string number(uint64_t value) { return std::to_string(value); }

// Compare all members behind `valid` and `ready`, the first two words of every channel.
template <class T> bool same_payload(const T &a, const T &b) {
    constexpr size_t head = 2 * sizeof(uint32_t);
    return std::memcmp(reinterpret_cast<const char *>(&a) + head,
                       reinterpret_cast<const char *>(&b) + head, sizeof(T) - head) == 0;
}

// The handshake rule: once valid, a transfer stays valid and unchanged until it is taken.
template <class T>
void check_stable(const T &before, const T &now, const char *name, uint64_t cycle,
                  Violations &violations) {
    if (!before.valid || before.ready) return;
    if (!now.valid)
        violations.add(cycle, std::string(name) + ": VALID fell before READY");
    else if (!same_payload(before, now))
        violations.add(cycle, std::string(name) + ": payload changed before READY");
}

}  // namespace

void Violations::add(uint64_t cycle, const std::string &what, int64_t address) {
    if (count++ < LIMIT)
        first.push_back({what, static_cast<int64_t>(cycle), address, progress});
}

void Violations::clear() {
    count = 0;
    first.clear();
    progress = Progress{};
}

// AXI4 ---------------------------------------------------------------------------------------------
void AxiChecker::begin(uint32_t bus_bytes) {
    width_ = bus_bytes;
    before_ = Axi{};
    reads_.clear();
    writes_.clear();
    data_.clear();
    awaiting_.clear();
    beat_ = 0;
}

void AxiChecker::edge(uint64_t cycle, const Axi &now) {
    cycle_ = cycle;
    if (now.reset) {
        if (before_.reset && (now.ar.valid || now.aw.valid || now.w.valid))
            report("VALID is high during reset");
        begin(width_);
        before_.reset = 1;
        return;
    }
    stable(now);
    // Responses first: one in the same cycle as its request comes too early.
    if (now.r.valid) read(now.r);
    if (now.b.valid) response(now.b);
    if (now.ar.valid && now.ar.ready) {
        address(now.ar, "AR");
        reads_.push_back({now.ar, 0});
    }
    if (now.aw.valid && now.aw.ready) {
        address(now.aw, "AW");
        writes_.push_back(now.aw);
    }
    if (now.w.valid && now.w.ready) data_.push_back(now.w);
    if (!data_.empty() && !writes_.empty()) pair();
    if (now.finish) before_.finish ? late(now) : idle(now);
    before_ = now;
}

void AxiChecker::stable(const Axi &now) {
    check_stable(before_.ar, now.ar, "AR", cycle_, violations_);
    check_stable(before_.aw, now.aw, "AW", cycle_, violations_);
    check_stable(before_.w, now.w, "W", cycle_, violations_);
    check_stable(before_.r, now.r, "R", cycle_, violations_);
    check_stable(before_.b, now.b, "B", cycle_, violations_);
}

void AxiChecker::address(const Address &burst, const char *channel) {
    const std::string name = std::string(channel) + " " + hex(burst.address) + ": ";
    const int64_t at = burst.address;
    if (burst.burst != 1)
        report(name + "burst type is " + number(burst.burst) + ", not INCR (1)", at);
    if (1u << burst.size > width_)
        report(name + "beats of " + number(1u << burst.size) + " bytes on a bus of " +
                   number(width_),
               at);
    const uint64_t start = burst.address >> burst.size << burst.size;
    const uint64_t last = start + (uint64_t{burst.len + 1} << burst.size) - 1;
    if (burst.address >> 12 != last >> 12)
        report(name + number(burst.len + 1) + " beats cross a 4 KiB boundary", at);
    if (burst.len > 255) report(name + "more than 256 beats", at);
}

void AxiChecker::read(const Data &r) {
    for (auto burst = reads_.begin(); burst != reads_.end(); ++burst) {
        if (burst->address.id != r.id) continue;
        const bool last = burst->beats == burst->address.len;
        if ((r.last != 0) != last)
            report("R: RLAST is " + number(r.last) + " at beat " + number(burst->beats) +
                       " of a burst of " + number(burst->address.len + 1),
                   burst->address.address);
        if (!r.ready) return;
        if (++burst->beats > burst->address.len) reads_.erase(burst);
        return;
    }
    report("R: a beat with ID " + number(r.id) + ", which no read is waiting for");
}

// Check W beats against the addresses they belong to, in order.
void AxiChecker::pair() {
    while (!data_.empty() && !writes_.empty()) {
        write(data_.front());
        data_.pop_front();
    }
}

void AxiChecker::write(const Data &w) {
    const Burst burst{writes_.front(), beat_};
    const bool last = beat_ == burst.address.len;
    if ((w.last != 0) != last)
        report("W: WLAST is " + number(w.last) + " at beat " + number(beat_) + " of the burst at " +
                   hex(burst.address.address) + ", which has " + number(burst.address.len + 1),
               burst.address.address);
    strobes(burst, beat_, w.strobes);
    ++beat_;
    if (w.last || last) {
        awaiting_.push_back(burst.address);
        writes_.pop_front();
        beat_ = 0;
    }
}

// Only lanes that the burst's beat covers may be written: not those below an unaligned start.
void AxiChecker::strobes(const Burst &burst, uint32_t beat, uint32_t strobes) {
    const uint32_t address = beat_address(burst.address, beat);
    const uint32_t size = 1u << burst.address.size;
    const uint32_t first = address & (width_ - 1);
    const uint32_t end = (address & (width_ - 1) & ~(size - 1)) + size;
    const uint64_t allowed = ((uint64_t{1} << end) - 1) & ~((uint64_t{1} << first) - 1);
    if (strobes & ~allowed)
        report("W: strobes " + hex(strobes) + " at beat " + number(beat) + " of the burst at " +
                   hex(burst.address.address) + " go beyond its lanes " + hex(allowed),
               burst.address.address);
}

void AxiChecker::response(const WriteResponse &b) {
    for (auto write = awaiting_.begin(); write != awaiting_.end(); ++write) {
        if (write->id != b.id) continue;
        if (b.ready) awaiting_.erase(write);
        return;
    }
    report("B: a response with ID " + number(b.id) + ", which no complete write is waiting for");
}

// When finish rises, isa.md section 5 wants every response in; nothing new may start either.
void AxiChecker::idle(const Axi &now) {
    if (now.ar.valid || now.aw.valid || now.w.valid)
        report("finish rose while " + std::string(now.ar.valid ? "AR" : now.aw.valid ? "AW" : "W") +
               " was valid");
    if (!reads_.empty())
        report("finish rose with " + number(reads_.size()) + " reads in flight",
               reads_.front().address.address);
    const size_t writes = writes_.size() + awaiting_.size();
    if (writes)
        report("finish rose with " + number(writes) + " writes unanswered",
               (awaiting_.empty() ? writes_ : awaiting_).front().address);
    if (!data_.empty()) report("finish rose with write data that has no address");
}

// Nor may anything start behind it, until the next launch takes finish back.
void AxiChecker::late(const Axi &now) {
    if (now.ar.valid && !before_.ar.valid) 
        report("AR " + hex(now.ar.address) + ": after finish", now.ar.address);
    if (now.aw.valid && !before_.aw.valid) 
        report("AW " + hex(now.aw.address) + ": after finish", now.aw.address);
}

// AXI4-Lite ----------------------------------------------------------------------------------------
void LiteChecker::begin() {
    before_ = Lite{};
    addresses_ = data_ = reads_ = 0;
}

void LiteChecker::edge(uint64_t cycle, const Lite &now) {
    cycle_ = cycle;
    if (now.reset) {
        begin();
        return;
    }
    stable(now);
    if (now.b.valid) {
        if (addresses_ == 0 || data_ == 0)
            violations_.add(cycle, "lite B: a response without a write");
        else if (now.b.ready)
            --addresses_, --data_;
        if (now.b.response == EXOKAY) violations_.add(cycle, "lite B: EXOKAY");
    }
    if (now.r.valid) {
        if (reads_ == 0)
            violations_.add(cycle, "lite R: data without a read");
        else if (now.r.ready)
            --reads_;
        if (now.r.response == EXOKAY) violations_.add(cycle, "lite R: EXOKAY");
    }
    addresses_ += now.aw.valid && now.aw.ready;
    data_ += now.w.valid && now.w.ready;
    reads_ += now.ar.valid && now.ar.ready;
    before_ = now;
}

void LiteChecker::stable(const Lite &now) {
    check_stable(before_.aw, now.aw, "lite AW", cycle_, violations_);
    check_stable(before_.w, now.w, "lite W", cycle_, violations_);
    check_stable(before_.b, now.b, "lite B", cycle_, violations_);
    check_stable(before_.ar, now.ar, "lite AR", cycle_, violations_);
    check_stable(before_.r, now.r, "lite R", cycle_, violations_);
}

}  // namespace vta
