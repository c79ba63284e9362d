// NumPy arrays as the kernel reads them, through the buffer protocol.
#pragma once

#include <nanobind/nanobind.h>

#include <algorithm>
#include <initializer_list>
#include <string>
#include <vector>

#include "../kernel_table.hpp"

namespace nb = nanobind;

namespace attnscope {

// A borrowed view of an array through the buffer protocol.
class Buffer {
public:
    Buffer(nb::handle array, const char* name, int rank, bool writable) : name_(name) {
        const int flags = PyBUF_STRIDES | (writable ? PyBUF_WRITABLE : 0);
        if (PyObject_GetBuffer(array.ptr(), &view_, flags) != 0) throw nb::python_error();
        if (view_.ndim != rank) fail("has another rank than the plan");
    }
    Buffer(const Buffer&) = delete;
    ~Buffer() { PyBuffer_Release(&view_); }

    template <typename T = char>
    T* data() const { return static_cast<T*>(view_.buf); }
    std::int64_t stride(int axis) const { return view_.strides[axis]; }
    std::int64_t size(int axis) const { return view_.shape[axis]; }

    void expect(std::initializer_list<std::int64_t> shape, std::int64_t item_bytes) const {
        if (view_.itemsize != item_bytes || !std::equal(shape.begin(), shape.end(), view_.shape))
            fail("does not have the plan's shape and item size");
    }
    void expect_contiguous() const {
        if (PyBuffer_IsContiguous(&view_, 'C') == 0) fail("is not contiguous");
    }
    // A contiguous array's elements as they are now. What leads to memory is copied first and checked then, since another
    // thread may write to the array meanwhile.
    template <typename T>
    std::vector<T> copy(std::initializer_list<std::int64_t> shape) const {
        expect(shape, sizeof(T));
        expect_contiguous();
        return std::vector<T>(data<const T>(), data<const T>() + view_.len / view_.itemsize);
    }
    Array4 array() const {
        if (size(3) > 1 && stride(3) != view_.itemsize) fail("has a last axis that is not contiguous");
        return {data(), stride(0), stride(1), stride(2)};
    }

private:
    [[noreturn]] void fail(const char* what) const {
        throw nb::value_error((std::string(name_) + " " + what).c_str());
    }
    Py_buffer view_ = {};
    const char* name_;
};

inline std::int64_t format_bytes(Format format) {
    return format == Format::float32 ? 4 : format == Format::int8 ? 1 : 2;
}

inline Format format_named(const std::string& name) {
    if (name == "float32") return Format::float32;
    if (name == "bfloat16") return Format::bfloat16;
    if (name == "float16") return Format::float16;
    if (name == "int8") return Format::int8;
    throw nb::value_error(("no such format: " + name).c_str());
}

}  // namespace attnscope
