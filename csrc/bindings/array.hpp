// A NumPy array as an argument: `numpy.typing.NDArray` in Python's signatures, a handle here.
#pragma once

#include <nanobind/nanobind.h>

namespace nb = nanobind;

namespace attnscope {

struct Array {
    nb::handle object;
};

}  // namespace attnscope

namespace nanobind::detail {

// Accepts any object: Buffer checks it, and names the argument in its error
template <>
struct type_caster<attnscope::Array> {
    NB_TYPE_CASTER(attnscope::Array, const_name("numpy.typing.NDArray[typing.Any]"))

    bool from_python(handle source, std::uint8_t, cleanup_list*) noexcept {
        value.object = source;
        return true;
    }
};

}  // namespace nanobind::detail
