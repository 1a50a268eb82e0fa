// The core's scratchpads: found by the names that wrapper.vlt exposes; set to zero, and looked into.
#include "scratchpads.h"

#include <algorithm>
#include <cstring>
#include <map>

#include "monitor.h"
#include "verilated.h"
#include "verilated_syms.h"

namespace {

const std::string FLAGS = "flags";  // of ACC: no scratchpad, and only in a simulator that traces

// Call `use` with `<module>.<name>` of each array that is exposed.
template <class Use> void for_each_array(Use use) {
    for (const auto &scope : *Verilated::scopeNameMap()) {
        if (!scope.second->varsp()) continue;
        const std::string path = scope.first;
        std::string module = path.substr(path.rfind('.') + 1);
        if (module[0] == '\\') module.erase(0, 1);
        module.resize(std::min(module.find('$'), module.size()));  // added to tell it from others
        for (auto &variable : *scope.second->varsp()) {
            const VerilatedVar &memory = variable.second;
            if (memory.udims() != 0) use(module + "." + variable.first, memory);
        }
    }
}

// A name with its numbers padded, so that bank_0_10 comes behind bank_0_9.
std::string sortable(const std::string &name) {
    std::string result, digits;
    for (const char c : name + " ") {
        if (c >= '0' && c <= '9') {
            digits += c;
            continue;
        }
        if (!digits.empty()) result += std::string(8 - digits.size(), '0') + digits;
        digits.clear();
        result += c;
    }
    return result;
}

}  // namespace

namespace vta {

void Array::read(uint32_t row, uint8_t *to, uint32_t nbytes) const {
    if (row < rows)
        std::memcpy(to, data + row * stride, nbytes);
    else
        std::memset(to, 0, nbytes);
}

std::vector<Array> find_arrays(const std::string &prefix) {
    std::map<std::string, Array> found;
    for_each_array([&](const std::string &name, const VerilatedVar &memory) {
        if (name.compare(0, prefix.size(), prefix) == 0)
            found[sortable(name)] = {static_cast<uint8_t *>(memory.datap()), memory.entSize(),
                                     memory.totalSize() / memory.entSize()};
    });
    std::vector<Array> arrays;
    for (const auto &array : found) arrays.push_back(array.second);
    return arrays;
}

}  // namespace vta

extern "C" uint64_t vta_clear_scratchpads() {
    uint64_t nbytes = 0;
    for_each_array([&](const std::string &name, const VerilatedVar &memory) {
        if (name.substr(name.find('.') + 1) == FLAGS) return;
        std::memset(memory.datap(), 0, memory.totalSize());
        nbytes += memory.totalSize();
    });
    return nbytes;
}
