// The Python module: bindings/ is the only folder that knows Python.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <string>
#include <vector>

#include "../cpu_features.hpp"
#include "../dispatch.hpp"
#include "limits.hpp"
#include "plan.hpp"

namespace {

using namespace attnscope;
using namespace nb::literals;

const KernelTable& level_named(const std::string& name) {
    for (const KernelTable* table : usable_levels())
        if (name == table->level) return *table;
    throw nb::value_error(("level: this CPU has no level " + name).c_str());
}

Format format_named(const std::string& name) {
    if (name == "float32") return Format::float32;
    if (name == "bfloat16") return Format::bfloat16;
    if (name == "float16") return Format::float16;
    if (name == "int8") return Format::int8;
    throw nb::value_error(("format: there is no format " + name).c_str());
}

void apply_function(const std::string& level, const std::string& function, Array from, Array to) {
    const KernelTable& table = level_named(level);
    if (function != "exp2" && function != "tanh") throw nb::value_error("function: expected exp2 or tanh");
    const Buffer input(from, "from_", 1);
    const WritableBuffer output(to, "to", 1);
    const std::int64_t count = input.size(0);
    if (count % table.lanes != 0) input.fail("expected a multiple of the level's lanes");
    table.apply_function(function == "tanh", input.contiguous<float>({count}),
                         output.contiguous<float>({count}), count);
}

std::vector<std::string> missing_of(const std::string& level, const std::vector<std::uint64_t>& registers) {
    if (registers.size() != 4) throw nb::value_error("registers: expected the four of cpu_registers()");
    const CpuRegisters cpu = {.leaf1_ecx = static_cast<std::uint32_t>(registers[0]),
                              .leaf7_ebx = static_cast<std::uint32_t>(registers[1]),
                              .extended_ecx = static_cast<std::uint32_t>(registers[2]),
                              .saved = registers[3]};
    const std::vector<const char*> missing = missing_features(level, cpu);
    return {missing.begin(), missing.end()};
}

void bind_levels(nb::module_& m) {
    m.def("usable_levels", [] {
        std::vector<std::string> names;
        for (const KernelTable* table : usable_levels()) names.emplace_back(table->level);
        return names;
    });
    m.def("cpu_registers", [] {
        const CpuRegisters cpu = read_cpu_registers();
        return std::vector<std::uint64_t>{cpu.leaf1_ecx, cpu.leaf7_ebx, cpu.extended_ecx, cpu.saved};
    });
    m.def("use_openmp", &use_openmp, "use"_a);
    m.def("missing_features", &missing_of, "level"_a, "registers"_a);
    m.def("lanes", [](const std::string& level) { return level_named(level).lanes; }, "level"_a);
}

void bind_statistics(nb::module_& m) {
    nb::class_<StatisticsArrays>(m, "StatisticsArrays", "The arrays of observe(), by name.")
        .def(
            "__init__",
            [](StatisticsArrays* self, nb::typed<nb::dict, nb::str, Array> arrays, std::int64_t batch,
               std::int64_t query_heads, std::int64_t query_len, std::int64_t key_len,
               std::int64_t first_keys, std::int64_t segments, std::int64_t top_keys, std::int64_t map_rows,
               std::int64_t map_columns) {
                const StatisticsSizes sizes = {.batch = batch,
                                               .query_heads = query_heads,
                                               .query_len = query_len,
                                               .key_len = key_len,
                                               .first_keys = first_keys,
                                               .segments = segments,
                                               .top_keys = top_keys,
                                               .map_rows = map_rows,
                                               .map_columns = map_columns};
                new (self) StatisticsArrays(sizes, arrays);
            },
            "arrays"_a, nb::kw_only(), "batch"_a, "query_heads"_a, "query_len"_a, "key_len"_a, "first_keys"_a,
            "segments"_a, "top_keys"_a, "map_rows"_a, "map_columns"_a);
}

void make_plan(Plan* self, const std::string& level, std::int64_t batch, std::int64_t query_heads,
               std::int64_t kv_heads, std::int64_t query_len, std::int64_t key_len, std::int64_t key_dim,
               std::int64_t value_dim, const std::string& format, const std::string& key_value_format,
               const std::string& output_format, double scale, std::optional<double> softcap,
               std::optional<Array> first_key, std::optional<Array> end_key, std::optional<Array> words) {
    AttentionCall call = {};
    call.batch = batch, call.query_heads = query_heads, call.kv_heads = kv_heads;
    call.query_len = query_len, call.key_len = key_len;
    call.key_dim = key_dim, call.value_dim = value_dim;
    call.format = format_named(format);
    call.key_value_format = format_named(key_value_format);
    call.output_format = format_named(output_format);
    call.scale = scale;
    call.has_softcap = softcap.has_value();
    call.softcap = softcap.value_or(0.0);
    new (self) Plan(level_named(level), call, first_key, end_key, words);
}

void run(const Plan& plan, Array query, Array key, Array value, Array output, std::optional<Array> logsumexp,
         std::optional<Array> bias, std::optional<Array> slopes, std::optional<Array> sinks,
         std::int64_t threads, const StatisticsArrays* statistics) {
    const CallArrays arrays = {.query = query,
                               .output = output,
                               .logsumexp = logsumexp,
                               .bias = bias,
                               .slopes = slopes,
                               .sinks = sinks,
                               .threads = threads,
                               .statistics = statistics};
    plan.run(arrays, key, value);
}

void run_pages(const Plan& plan, Array query, Array key_pages, Array value_pages,
               std::optional<Array> key_scales, std::optional<Array> value_scales, Array block_table,
               Array key_lens, Array output, std::optional<Array> logsumexp, std::optional<Array> bias,
               std::optional<Array> slopes, std::optional<Array> sinks, std::int64_t threads,
               const StatisticsArrays* statistics) {
    const CallArrays arrays = {.query = query,
                               .output = output,
                               .logsumexp = logsumexp,
                               .bias = bias,
                               .slopes = slopes,
                               .sinks = sinks,
                               .threads = threads,
                               .statistics = statistics};
    const PageArrays pages = {.key = key_pages,
                              .value = value_pages,
                              .key_scales = key_scales,
                              .value_scales = value_scales,
                              .block_table = block_table,
                              .key_lens = key_lens};
    plan.run_pages(arrays, pages);
}

void run_gradients(const Plan& plan, Array query, Array key, Array value, std::optional<Array> bias,
                   std::optional<Array> slopes, Array output, Array logsumexp, Array grad_output,
                   Array grad_query, Array grad_key, Array grad_value, std::optional<Array> grad_bias,
                   Array mean, std::int64_t threads) {
    plan.run_gradients({.query = query,
                        .key = key,
                        .value = value,
                        .bias = bias,
                        .slopes = slopes,
                        .output = output,
                        .logsumexp = logsumexp,
                        .grad_output = grad_output,
                        .grad_query = grad_query,
                        .grad_key = grad_key,
                        .grad_value = grad_value,
                        .grad_bias = grad_bias,
                        .mean = mean,
                        .threads = threads});
}

void bind_plan(nb::module_& m) {
    nb::class_<Plan>(m, "Plan", "A problem prepared for many calls.")
        .def("__init__", &make_plan, nb::kw_only(), "level"_a, "batch"_a, "query_heads"_a, "kv_heads"_a,
             "query_len"_a, "key_len"_a, "key_dim"_a, "value_dim"_a, "format"_a, "key_value_format"_a,
             "output_format"_a, "scale"_a, "softcap"_a, "first_key"_a, "end_key"_a, "words"_a)
        .def("run", &run, nb::kw_only(), "query"_a, "key"_a, "value"_a, "output"_a, "logsumexp"_a, "bias"_a,
             "slopes"_a, "sinks"_a, "threads"_a, "statistics"_a.none())
        .def("run_pages", &run_pages, nb::kw_only(), "query"_a, "key_pages"_a, "value_pages"_a,
             "key_scales"_a, "value_scales"_a, "block_table"_a, "key_lens"_a, "output"_a, "logsumexp"_a,
             "bias"_a, "slopes"_a, "sinks"_a, "threads"_a, "statistics"_a.none())
        .def("run_gradients", &run_gradients, nb::kw_only(), "query"_a, "key"_a, "value"_a, "bias"_a,
             "slopes"_a, "output"_a, "logsumexp"_a, "grad_output"_a, "grad_query"_a, "grad_key"_a,
             "grad_value"_a, "grad_bias"_a, "mean"_a, "threads"_a);
}

}  // namespace

NB_MODULE(_core, m) {
    m.doc() = "The compiled kernel. Arrays arrive validated; bfloat16 arrives as its bits, uint16.";
    // A thread that sleeps while Python exits keeps its plan and its statistics: no leak to report
    nb::set_leak_warnings(false);
    bind_statistics(m);
    bind_plan(m);
    bind_levels(m);
    m.def("apply_function", &apply_function, "level"_a, "function"_a, "from_"_a, "to"_a);
    m.def(
        "fma_limit",
        [](const std::string& level, std::int64_t threads, std::int64_t iterations) {
            return fma_limit(level_named(level), threads, iterations);
        },
        "level"_a, nb::kw_only(), "threads"_a, "iterations"_a);
    m.def(
        "read_bandwidth",
        [](const std::string& level, Array data, std::int64_t threads) {
            return read_bandwidth(level_named(level), data, threads);
        },
        "level"_a, "data"_a, nb::kw_only(), "threads"_a);
}
