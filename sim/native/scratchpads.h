// What stands in the core's scratchpads now.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace vta {

// A memory of the core: rows of `stride` bytes in the model.
struct Array {
    uint8_t *data = nullptr;
    size_t stride = 0, rows = 0;
    void read(uint32_t row, uint8_t *to, uint32_t nbytes) const;  // zeros where there is none
};

// The memories called `<module>.<name>`, name without its last part, in the order of that number.
std::vector<Array> find_arrays(const std::string &prefix);

}  // namespace vta
