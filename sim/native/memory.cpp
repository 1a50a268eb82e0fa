#include "memory.h"

#include <algorithm>
#include <cstring>

namespace vta {

constexpr uint64_t FOREVER = ~0ull;

void Memory::map(uint8_t *bytes, size_t nbytes) {
    bytes_ = bytes;
    mapped_ = nbytes;
}

void Memory::begin(int bus_bytes) {
    width_ = static_cast<uint32_t>(bus_bytes);
    options.size = std::min(options.size, mapped_);
    reads_.clear();
    writes_.clear();
    beats_.clear();
    for (Fault &f : faults) f.seen = 0;
    for (int c = 0; c < CHANNELS; ++c) stalled[c] = accepted[c] = stall_left_[c] = 0;
    random_ = options.stall_seed * 0x9E3779B97F4A7C15u + 0xD1B54A32D192ED03u;
    if (random_ == 0) random_ = 1;
}

uint64_t Memory::random() {  // xorshift64*
    random_ ^= random_ >> 12;
    random_ ^= random_ << 25;
    random_ ^= random_ >> 27;
    return random_ * 0x2545F4914F6CDD1Du >> 4;
}

// Is the channel held back in the coming cycle? Twelve bits of `draws_` decide for each channel.
bool Memory::stall(Channel channel) {
    if (options.stall_rate == 0) return false;
    if (stall_left_[channel] > 0) {
        --stall_left_[channel];
        return true;
    }
    if ((draws_ >> 12 * channel & 4095) >= options.stall_rate) return false;
    stall_left_[channel] = random() % std::max<uint64_t>(options.stall_length, 1);
    return true;
}

void Memory::edge(const Axi &now, Axi &outputs) {
    ++now_;
    if (now.reset) {
        reads_.clear();
        writes_.clear();
        beats_.clear();
        outputs = Axi{};
        return;
    }
    accept(now);
    if (outputs.r.valid && now.r.ready) {
        outputs.r.valid = 0;
        ++accepted[R];
    }
    if (outputs.b.valid && now.b.ready) {
        outputs.b.valid = 0;
        ++accepted[B];
    }
    if (options.stall_rate) draws_ = random();
    if (!outputs.r.valid && !reads_.empty()) drive_read(outputs);
    if (!outputs.b.valid && !writes_.empty()) drive_response(outputs);
    outputs.ar.ready = !stall(AR);
    outputs.aw.ready = !stall(AW);
    outputs.w.ready = !stall(W);
}

void Memory::accept(const Axi &now) {
    if (now.ar.valid && now.ar.ready) {
        ++accepted[AR];
        Read &read = reads_.emplace_back(Read{now_ + options.latency, now.ar, 0, OKAY, {}});
        if (!faults.empty()) read.response = fault(now.ar, false);
        if (read.response == NEVER) read.due = FOREVER;
        // Both moments are legal for a memory: without order from the core, data may be old or new.
        if (options.stall_rate && (random() & 1)) {
            read.early.resize((now.ar.len + 1) * width_);
            for (uint32_t n = 0; n <= now.ar.len; ++n)
                read_beat(now.ar, n, &read.early[n * width_]);
        }
    }
    stalled[AR] += now.ar.valid && !now.ar.ready;
    stalled[AW] += now.aw.valid && !now.aw.ready;
    stalled[W] += now.w.valid && !now.w.ready;
    const bool address = now.aw.valid && now.aw.ready;
    const bool data = now.w.valid && now.w.ready;
    if (address) {
        ++accepted[AW];
        writes_.push_back(Write{0, now.aw, OKAY, false, {}});
        if (!faults.empty()) writes_.back().response = fault(now.aw, true);
    }
    if (data) {
        ++accepted[W];
        Beat &beat = beats_.emplace_back();
        std::memcpy(beat.data, now.w.data, width_);
        beat.strobes = now.w.strobes;
        beat.last = now.w.last;
    }
    if (address || data) match();
}

// Give waiting beats to the oldest writes that lack them.
void Memory::match() {
    for (Write &write : writes_) {
        if (write.complete) continue;
        while (!beats_.empty() && !write.complete) {
            write.beats.push_back(beats_.front());
            write.complete = beats_.front().last;
            beats_.pop_front();
        }
        if (!write.complete) return;
        write.due = write.response == NEVER ? FOREVER : now_ + options.latency;
    }
}

// The burst to answer: the oldest, or, out of order, one of the oldest of each ID.
template <class Queue> size_t Memory::choose(const Queue &queue) {
    if (!options.out_of_order || queue.size() < 2) return 0;
    size_t chosen = 0, candidates = 0;
    uint32_t seen = 0;
    for (size_t n = 0; n < queue.size(); ++n) {
        const uint32_t id = 1u << (queue[n].address.id & 15);
        if (seen & id) continue;
        seen |= id;
        if (queue[n].due == 0 || queue[n].due > now_ + 1) continue;
        if (random() % ++candidates == 0) chosen = n;
    }
    return chosen;
}

void Memory::drive_read(Axi &outputs) {
    if (reads_.front().beat == 0) {  // between bursts: another may come first
        const size_t chosen = choose(reads_);
        if (chosen) {
            std::rotate(reads_.begin(), reads_.begin() + chosen, reads_.begin() + chosen + 1);
        }
    }
    Read &read = reads_.front();
    if (read.due > now_ + 1) return;
    if (stall(R)) {
        ++stalled[R];
        return;
    }
    Data &r = outputs.r;
    auto *data = reinterpret_cast<uint8_t *>(r.data);
    r.response = read_beat(read.address, read.beat, data);
    if (!read.early.empty()) std::memcpy(data, &read.early[read.beat * width_], width_);
    if (read.response != OKAY) r.response = read.response;
    r.valid = 1;
    r.id = read.address.id;
    r.last = read.beat == read.address.len;
    ++read.beat;
    if (r.last) reads_.pop_front();
}

void Memory::drive_response(Axi &outputs) {
    const size_t chosen = choose(writes_);
    const Write &write = writes_[chosen];
    if (!write.complete || write.due > now_ + 1) return;
    if (stall(B)) {
        ++stalled[B];
        return;
    }
    outputs.b.response = commit(write);
    outputs.b.valid = 1;
    outputs.b.id = write.address.id;
    writes_.erase(writes_.begin() + static_cast<std::ptrdiff_t>(chosen));
}

Response Memory::fault(const Address &address, bool write) {
    const uint64_t first = address.address;
    const uint64_t end = uint64_t{beat_address(address, address.len)} + width_;
    for (Fault &f : faults) {
        if (f.write != write || end <= f.start || first >= f.end) continue;
        ++f.seen;
        if (f.nth == 0 || f.seen == f.nth) return f.response;
    }
    return OKAY;
}

// The beat's bytes, zeros where nothing is mapped; DECERR if none of them is.
Response Memory::read_beat(const Address &address, uint32_t beat, uint8_t *data) const {
    const uint64_t at = beat_address(address, beat) & ~uint64_t{width_ - 1};
    if (at >= options.base && at + width_ <= options.base + options.size) {
        std::memcpy(data, bytes_ + (at - options.base), width_);
        return OKAY;
    }
    Response response = DECERR;
    for (uint32_t n = 0; n < width_; ++n) {
        const bool inside = at + n >= options.base && at + n < options.base + options.size;
        data[n] = inside ? bytes_[at + n - options.base] : 0;
        if (inside) response = OKAY;
    }
    return response;
}

// Write a burst's bytes to DRAM, nothing where it is answered with an error.
Response Memory::commit(const Write &write) {
    if (write.response != OKAY) return write.response;
    const uint64_t end = options.base + options.size;
    for (uint32_t beat = 0; beat < write.beats.size(); ++beat) {
        const uint64_t at = beat_address(write.address, beat) & ~uint64_t{width_ - 1};
        const uint32_t strobes = write.beats[beat].strobes;
        if (at >= options.base && at + width_ <= end) continue;
        for (uint32_t n = 0; n < width_; ++n)
            if (strobes >> n & 1 && (at + n < options.base || at + n >= end)) return DECERR;
    }
    for (uint32_t beat = 0; beat < write.beats.size(); ++beat) {
        const uint64_t at = beat_address(write.address, beat) & ~uint64_t{width_ - 1};
        const uint32_t strobes = write.beats[beat].strobes;
        const auto *data = reinterpret_cast<const uint8_t *>(write.beats[beat].data);
        for (uint32_t n = 0; log && n < width_; ++n)
            if (strobes >> n & 1) written.emplace_back(static_cast<uint32_t>(at + n), data[n]);
        if (strobes == 0xFFFFFFFFu >> (32 - width_)) {
            std::memcpy(bytes_ + (at - options.base), data, width_);
            continue;
        }
        for (uint32_t n = 0; n < width_; ++n)
            if (strobes >> n & 1) bytes_[at + n - options.base] = data[n];
    }
    return OKAY;
}

}  // namespace vta
