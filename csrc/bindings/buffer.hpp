// NumPy arrays as the kernel reads them: borrowed through the buffer protocol, and checked.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <string>
#include <vector>

#include "../kernel_table.hpp"
#include "array.hpp"

namespace attnscope {

static_assert(std::endian::native == std::endian::little);

// A type of elements: the letters that the buffer protocol has for it, its size, and its name in errors
struct ElementType {
    const char* letters;
    std::int64_t bytes;
    const char* name;
};

template <typename T>
inline constexpr ElementType element_type = {};
template <>
inline constexpr ElementType element_type<float> = {"f", 4, "float32"};
template <>
inline constexpr ElementType element_type<std::uint8_t> = {"B", 1, "uint8"};
template <>
inline constexpr ElementType element_type<std::int32_t> = {"il", 4, "int32"};
template <>
inline constexpr ElementType element_type<std::int64_t> = {"lq", 8, "int64"};
template <>
inline constexpr ElementType element_type<std::uint64_t> = {"LQ", 8, "uint64"};

// The buffer protocol has no bfloat16: such an array arrives as its bits
inline ElementType element_type_of(Format format) {
    switch (format) {
        case Format::float32: return element_type<float>;
        case Format::bfloat16: return {"H", 2, "uint16 (the bits of bfloat16)"};
        case Format::float16: return {"e", 2, "float16"};
        case Format::int8: return {"b", 1, "int8"};
    }
    return {};
}

// The memory of an array, held for as long as this object lives
class View : public Py_buffer {
public:
    View(Array array, const char* name, bool writable) : Py_buffer{} {
        const int flags = PyBUF_STRIDES | PyBUF_FORMAT | (writable ? PyBUF_WRITABLE : 0);
        if (PyObject_GetBuffer(array.object.ptr(), this, flags) == 0) return;
        nb::python_error reason;
        nb::raise_from(reason, PyExc_ValueError, "%s: expected %s", name,
                       writable ? "a writable array" : "an array");
    }
    View(const View&) = delete;
    View& operator=(const View&) = delete;
    ~View() { PyBuffer_Release(this); }
};

// An array that the kernel reads. Each check raises ValueError that names the array.
class Buffer {
public:
    Buffer(Array array, const char* name, int rank) : Buffer(array, name, rank, false) {}

    std::int64_t size(int axis) const { return view_.shape[axis]; }
    std::int64_t stride(int axis) const { return view_.strides[axis]; }
    const char* bytes() const { return static_cast<const char*>(view_.buf); }

    // The array's elements, which are aligned; strides are multiples of their size
    void expect(std::initializer_list<std::int64_t> shape, ElementType type) const {
        const bool same_shape = std::equal(shape.begin(), shape.end(), view_.shape);
        if (!same_shape || !is(type) || !is_aligned(type.bytes))
            fail("expected aligned " + std::string(type.name) + " of shape " +
                 text(shape.begin(), shape.size()));
    }
    // Elements without gaps
    template <typename T>
    const T* contiguous(std::initializer_list<std::int64_t> shape) const {
        expect(shape, element_type<T>);
        if (PyBuffer_IsContiguous(&view_, 'C') == 0) fail("expected a contiguous array");
        return static_cast<const T*>(view_.buf);
    }
    // A contiguous array's elements as they are now. What leads to memory is copied first and checked then,
    // because another thread may write to the array in between.
    template <typename T>
    std::vector<T> copy(std::initializer_list<std::int64_t> shape) const {
        const T* elements = contiguous<T>(shape);
        return std::vector<T>(elements, elements + view_.len / view_.itemsize);
    }
    Format float_format() const {
        for (const Format format : {Format::float32, Format::bfloat16, Format::float16})
            if (is(element_type_of(format))) return format;
        fail("expected float32, float16 or uint16 (the bits of bfloat16)");
    }
    // [batch][head][token][dim], the last axis contiguous
    InputArray rows(std::initializer_list<std::int64_t> shape, Format format) const {
        expect_rows(shape, format);
        return {
            .data = bytes(), .batch_stride = stride(0), .head_stride = stride(1), .token_stride = stride(2)};
    }
    [[noreturn]] void fail(const std::string& expected) const {
        const std::string got = "got format '" + std::string(view_.format == nullptr ? "B" : view_.format) +
                                "' of shape " + text(view_.shape, static_cast<std::size_t>(view_.ndim)) +
                                " and strides " + text(view_.strides, static_cast<std::size_t>(view_.ndim));
        throw nb::value_error((std::string(name_) + ": " + expected + ", " + got).c_str());
    }

protected:
    Buffer(Array array, const char* name, int rank, bool writable)
        : view_(array, name, writable), name_(name) {
        if (view_.ndim != rank) fail("expected " + std::to_string(rank) + " axes");
    }
    void expect_rows(std::initializer_list<std::int64_t> shape, Format format) const {
        expect(shape, element_type_of(format));
        if (size(3) > 1 && stride(3) != view_.itemsize) fail("expected a contiguous last axis");
    }

    View view_;

private:
    bool is(ElementType type) const {
        const char* format = view_.format == nullptr ? "B" : view_.format;
        if (*format == '@' || *format == '=' || *format == '<') ++format;
        return view_.itemsize == type.bytes && std::strlen(format) == 1 && std::strchr(type.letters, *format);
    }
    bool is_aligned(std::int64_t bytes) const {
        if (view_.len == 0) return true;
        bool aligned = reinterpret_cast<std::uintptr_t>(view_.buf) % static_cast<std::uintptr_t>(bytes) == 0;
        for (int axis = 0; axis < view_.ndim; ++axis)
            aligned = aligned && (view_.shape[axis] == 1 || view_.strides[axis] % bytes == 0);
        return aligned;
    }
    // Integer: Py_ssize_t or std::int64_t, which differ on macOS
    template <typename Integer>
    static std::string text(const Integer* numbers, std::size_t count) {
        std::string list = "[";
        for (std::size_t i = 0; i < count; ++i) list += (i == 0 ? "" : ", ") + std::to_string(numbers[i]);
        return list + "]";
    }

    const char* name_;
};

// An array that the kernel writes
class WritableBuffer : public Buffer {
public:
    WritableBuffer(Array array, const char* name, int rank) : Buffer(array, name, rank, true) {}

    template <typename T>
    T* contiguous(std::initializer_list<std::int64_t> shape) const {
        Buffer::contiguous<T>(shape);
        return static_cast<T*>(view_.buf);
    }
    OutputArray rows(std::initializer_list<std::int64_t> shape, Format format) const {
        expect_rows(shape, format);
        return {.data = static_cast<char*>(view_.buf),
                .batch_stride = stride(0),
                .head_stride = stride(1),
                .token_stride = stride(2)};
    }
};

}  // namespace attnscope
