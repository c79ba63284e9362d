// Python's view of the kernel: the only folder that knows Python. Inputs have been validated by describe(); what is
// checked here again is only what would otherwise read or write out of bounds.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "../dispatch.hpp"
#include "../parallel.hpp"
#include "buffer.hpp"
#include "page_table.hpp"
#include "statistics_arrays.hpp"
#include "unlocked.hpp"

namespace {

using namespace attnscope;

const KernelTable& level_named(const std::string& name) {
    for (const KernelTable* table : usable_levels())
        if (name == table->level) return *table;
    throw nb::value_error(("no such level on this CPU: " + name).c_str());
}

// Below this many multiply-adds a call is over before a sleeping thread has woken up
constexpr double worth_a_thread = 1e6;

// From here on an unevenly divided rest costs less than 1/8 of the time, and parts, which must be merged, are not worth it.
constexpr std::int64_t many_tiles_per_thread = 8;

// Tiles over threads. If there are too few of them to go round, the parts of their rows are shared out instead; the
// arithmetic is the same. False if `go_on` ended it.
bool run_call(const KernelTable& table, const AttentionCall& call, std::int64_t threads, const GoOn& go_on) {
    const std::int64_t tiles = table.tiles(call), parts = call.parts(), workspace = table.workspace_bytes(call);
    if (threads == 1 || parts == 1 || tiles % threads == 0 || tiles >= many_tiles_per_thread * threads) {
        const RunSome run_some = [&](std::int64_t first, std::int64_t end, void* work) {
            return table.run_some_tiles(call, first, end, work);
        };
        return parallel_ranges(tiles, threads, workspace, run_some, go_on);
    }
    const std::int64_t state = table.state_floats(call);
    std::vector<float> states(static_cast<std::size_t>(tiles * parts * state));
    const auto run_part = [&](std::int64_t task, void* work) {
        table.run_part(call, task / parts, task % parts, states.data() + task * state, work);
    };
    const auto finish_tile = [&](std::int64_t tile, void*) {
        table.finish_tile(call, tile, states.data() + tile * parts * state);
    };
    return parallel_for(tiles * parts, threads, workspace, run_part, go_on) &&
           parallel_for(tiles, threads, workspace, finish_tile, go_on);
}

// The second pass of observe(), if anything that is asked needs it
bool run_survey(const KernelTable& table, const AttentionCall& call, std::int64_t threads, const GoOn& go_on) {
    if (!call.statistics.surveys()) return true;
    const auto run_task = [&](std::int64_t task, void* work) { table.run_survey(call, task, work); };
    return parallel_for(table.survey_tasks(call), threads, table.survey_workspace_bytes(call), run_task, go_on);
}

// Both passes without the GIL. Raises what a signal handler raises meanwhile; a call too small for a second thread is over
// before one could be noticed.
void run_unlocked(const KernelTable& table, const AttentionCall& call, std::int64_t threads, bool is_small) {
    bool complete;
    {
        Unlocked python;
        const GoOn go_on = is_small ? GoOn() : GoOn([&] { return python.go_on(); });
        complete = run_call(table, call, threads, go_on) && run_survey(table, call, threads, go_on);
    }
    if (!complete) throw nb::python_error();
}

// A problem made ready: what does not change from call to call.
class Plan {
public:
    Plan(const std::string& level, std::array<std::int64_t, 7> sizes, const std::string& format,
         const std::string& key_value_format, const std::string& output_format, double scale, std::optional<double> softcap, nb::object first_key,
         nb::object end_key, nb::object words)
        : table_(level_named(level)), words_(words) {
        call_ = {};
        call_.batch = sizes[0], call_.query_heads = sizes[1], call_.kv_heads = sizes[2], call_.query_len = sizes[3];
        call_.key_len = sizes[4], call_.key_dim = sizes[5], call_.value_dim = sizes[6];
        call_.format = format_named(format);
        call_.key_value_format = format_named(key_value_format);
        call_.output_format = format_named(output_format);
        call_.scale = scale;
        call_.has_softcap = softcap.has_value();
        call_.softcap = softcap.value_or(0.0);
        if (!first_key.is_none()) set_spans(first_key, end_key);
        if (!words.is_none()) set_words();
        multiply_adds_ = static_cast<double>(call_.batch) * static_cast<double>(call_.query_heads) *
                         static_cast<double>(call_.query_len) * static_cast<double>(call_.key_len) *
                         static_cast<double>(call_.key_dim + call_.value_dim);
    }

    void run(nb::handle query, nb::handle key, nb::handle value, nb::handle output, nb::handle logsumexp,
             nb::handle bias, const std::string& bias_format, nb::handle slopes, nb::handle sinks,
             std::int64_t threads, const StatisticsArrays* statistics) const {
        AttentionCall call = call_;
        if (statistics != nullptr) call.statistics = statistics->of(call);
        const std::int64_t bytes = format_bytes(call.key_value_format);
        const Buffer k(key, "key", 4, false), v(value, "value", 4, false);
        k.expect({call.batch, call.kv_heads, call.key_len, call.key_dim}, bytes);
        v.expect({call.batch, call.kv_heads, call.key_len, call.value_dim}, bytes);
        call.key = k.array(), call.value = v.array();
        attend(call, query, output, logsumexp, bias, bias_format, slopes, sinks, threads);
    }

    // The same where keys and values lie in pages [page][kv_head][token of the page][dim]
    void run_pages(nb::handle query, nb::handle key_pages, nb::handle value_pages, nb::handle key_scales,
                   nb::handle value_scales, nb::handle block_table, nb::handle key_lens, nb::handle output,
                   nb::handle logsumexp, nb::handle bias, const std::string& bias_format, nb::handle slopes,
                   nb::handle sinks, std::int64_t threads, const StatisticsArrays* statistics) const {
        AttentionCall call = call_;
        if (statistics != nullptr) call.statistics = statistics->of(call);
        const std::int64_t bytes = format_bytes(call.key_value_format);
        const Buffer k(key_pages, "key_pages", 4, false), v(value_pages, "value_pages", 4, false);
        const std::int64_t pages = k.size(0), page_tokens = k.size(2);
        k.expect({pages, call.kv_heads, page_tokens, call.key_dim}, bytes);
        v.expect({pages, call.kv_heads, page_tokens, call.value_dim}, bytes);
        call.key = k.array(), call.value = v.array();

        const PageTable table(block_table, key_lens, call, pages, page_tokens);
        call.pages = table.pages();
        call.key_lens = table.key_lens();
        std::optional<Buffer> key_scales_view, value_scales_view;
        call.key_scales = scales(key_scales, "key_scales", {pages, call.kv_heads, page_tokens}, key_scales_view);
        call.value_scales = scales(value_scales, "value_scales", {pages, call.kv_heads, page_tokens}, value_scales_view);
        if (call.key_value_format == Format::int8 && (call.key_scales.data == nullptr || call.value_scales.data == nullptr))
            throw nb::value_error("int8 pages need their scales");
        attend(call, query, output, logsumexp, bias, bias_format, slopes, sinks, threads);
    }

private:
    void attend(AttentionCall& call, nb::handle query, nb::handle output, nb::handle logsumexp, nb::handle bias,
                const std::string& bias_format, nb::handle slopes, nb::handle sinks, std::int64_t threads) const {
        const Buffer q(query, "query", 4, false), o(output, "output", 4, true);
        q.expect({call.batch, call.query_heads, call.query_len, call.key_dim}, format_bytes(call.format));
        o.expect({call.batch, call.query_heads, call.query_len, call.value_dim}, format_bytes(call.output_format));
        call.query = q.array(), call.output = o.array();

        std::optional<Buffer> normalizer_view, bias_view, slopes_view, sinks_view;
        if (!logsumexp.is_none()) {
            normalizer_view.emplace(logsumexp, "logsumexp", 3, true);
            normalizer_view->expect({call.batch, call.query_heads, call.query_len}, 4);
            call.logsumexp = normalizer_view->data<float>();
        }
        if (!bias.is_none()) {
            call.bias.format = format_named(bias_format);
            bias_view.emplace(bias, "bias", 4, false);
            bias_view->expect({call.batch, call.query_heads, call.query_len, call.key_len},
                              format_bytes(call.bias.format));
            call.bias = {bias_view->data(), call.bias.format, bias_view->stride(0), bias_view->stride(1),
                         bias_view->stride(2), bias_view->stride(3)};
        }
        call.slopes = per_head(slopes, "slopes", slopes_view);
        call.sinks = per_head(sinks, "sinks", sinks_view);

        const bool is_small = multiply_adds_ < worth_a_thread;
        run_unlocked(table_, call, is_small ? 1 : threads, is_small);
    }

    Scales scales(nb::handle array, const char* name, std::initializer_list<std::int64_t> shape,
                  std::optional<Buffer>& view) const {
        if (array.is_none()) return {};
        view.emplace(array, name, 3, false);
        view->expect(shape, 4);
        return {view->data(), view->stride(0), view->stride(1), view->stride(2)};
    }

    void set_spans(nb::handle first_key, nb::handle end_key) {
        const Buffer first(first_key, "first_key", 3, false), end(end_key, "end_key", 3, false);
        const std::int64_t shared = first.size(0), spans = first.size(2);
        if ((shared != 1 && shared != call_.batch) || spans < 1 || spans > 2)
            throw nb::value_error("spans do not have the plan's shape");
        first_keys_ = first.copy<std::int32_t>({shared, call_.query_len, spans});
        end_keys_ = end.copy<std::int32_t>({shared, call_.query_len, spans});
        for (std::size_t i = 0; i < first_keys_.size(); ++i)
            if (first_keys_[i] < 0 || end_keys_[i] > call_.key_len) throw nb::value_error("a span reaches beyond the keys");
        call_.visibility.first_key = first_keys_.data();
        call_.visibility.end_key = end_keys_.data();
        call_.visibility.spans = spans;
        call_.visibility.span_batch_stride = shared == 1 ? 0 : call_.query_len * spans;
    }

    // Not copied: bits choose among a block's keys and cannot lead out of it, whatever they are
    void set_words() {
        words_view_.emplace(words_, "words", 4, false);
        const std::int64_t per_row = (call_.key_len + block_keys - 1) / block_keys;
        const std::int64_t b = words_view_->size(0), h = words_view_->size(1), q = words_view_->size(2);
        if ((b != 1 && b != call_.batch) || (h != 1 && h != call_.query_heads) || (q != 1 && q != call_.query_len))
            throw nb::value_error("words do not have the plan's shape");
        words_view_->expect({b, h, q, per_row}, 8);
        Visibility& sight = call_.visibility;
        sight.words = words_view_->data<const std::uint64_t>();
        sight.words_query_stride = q == 1 ? 0 : per_row;
        sight.words_head_stride = h == 1 ? 0 : q * per_row;
        sight.words_batch_stride = b == 1 ? 0 : h * q * per_row;
    }

    const float* per_head(nb::handle array, const char* name, std::optional<Buffer>& view) const {
        if (array.is_none()) return nullptr;
        view.emplace(array, name, 1, false);
        view->expect({call_.query_heads}, 4);
        return view->data<const float>();
    }

    const KernelTable& table_;
    std::vector<std::int32_t> first_keys_, end_keys_;
    nb::object words_;
    std::optional<Buffer> words_view_;
    AttentionCall call_;
    double multiply_adds_;
};

double seconds_since(std::chrono::steady_clock::time_point start) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// FLOP/s of all threads together, each in a register-only loop of fused multiply-adds
double fma_limit(const std::string& level, std::int64_t threads, std::int64_t iterations) {
    const KernelTable& table = level_named(level);
    const Unlocked python;
    std::atomic<std::int64_t> total = 0;
    std::atomic<double> kept = 0;
    const auto start = std::chrono::steady_clock::now();
    parallel_for(threads, threads, 64, [&](std::int64_t, void*) {
        std::int64_t flops = 0;
        kept = table.fma_loop(iterations, &flops);
        total += flops;
    });
    return static_cast<double>(total) / seconds_since(start);
}

// Bytes/s of all threads together, reading `data` once, each its own part
double read_bandwidth(const std::string& level, nb::handle data, std::int64_t threads) {
    const KernelTable& table = level_named(level);
    const Buffer view(data, "data", 1, false);
    view.expect({view.size(0)}, 4);
    const std::int64_t pieces = threads * 16, piece = view.size(0) / pieces;
    const Unlocked python;
    std::atomic<double> kept = 0;
    const auto start = std::chrono::steady_clock::now();
    parallel_for(pieces, threads, 64, [&](std::int64_t i, void*) {
        kept = table.read_loop(view.data<const float>() + i * piece, piece);
    });
    return static_cast<double>(pieces * piece * 4) / seconds_since(start);
}

void apply_function(const std::string& level, const std::string& function, nb::handle from, nb::handle to) {
    const KernelTable& table = level_named(level);
    const Buffer input(from, "from", 1, false), output(to, "to", 1, true);
    input.expect({input.size(0)}, 4);
    output.expect({input.size(0)}, 4);
    if (input.size(0) % table.lanes != 0) throw nb::value_error("the number of elements is no multiple of lanes");
    table.apply_function(function == "tanh", input.data<float>(), output.data<float>(), input.size(0));
}

}  // namespace

NB_MODULE(_core, m) {
    m.doc() = "The compiled kernel of attnscope; use attnscope.kernels.";
    // A thread that sleeps while Python exits keeps its plan and its statistics: nothing to warn of
    nb::set_leak_warnings(false);
    nb::class_<StatisticsArrays>(m, "StatisticsArrays")
        .def("__init__",
             [](StatisticsArrays* self, nb::tuple sizes, nb::dict arrays, std::int64_t first_keys, std::int64_t segments,
                std::int64_t top_keys, nb::tuple map_shape) {
                 std::array<std::int64_t, 4> four;
                 for (std::size_t i = 0; i < 4; ++i) four[i] = nb::cast<std::int64_t>(sizes[i]);
                 const std::array<std::int64_t, 2> two = {nb::cast<std::int64_t>(map_shape[0]), nb::cast<std::int64_t>(map_shape[1])};
                 new (self) StatisticsArrays(four, arrays, first_keys, segments, top_keys, two);
             },
             nb::arg("sizes"), nb::arg("arrays"), nb::arg("first_keys"), nb::arg("segments"), nb::arg("top_keys"),
             nb::arg("map_shape"));
    nb::class_<Plan>(m, "Plan")
        .def("__init__",
             [](Plan* self, const std::string& level, nb::tuple sizes, const std::string& format,
                const std::string& key_value_format, const std::string& output_format, double scale, nb::object softcap, nb::object first_key,
                nb::object end_key, nb::object words) {
                 std::array<std::int64_t, 7> seven;
                 for (std::size_t i = 0; i < 7; ++i) seven[i] = nb::cast<std::int64_t>(sizes[i]);
                 const std::optional<double> cap =
                     softcap.is_none() ? std::nullopt : std::optional<double>(nb::cast<double>(softcap));
                 new (self) Plan(level, seven, format, key_value_format, output_format, scale, cap, first_key, end_key, words);
             },
             nb::arg("level"), nb::arg("sizes"), nb::arg("format"), nb::arg("key_value_format"),
             nb::arg("output_format"), nb::arg("scale"),
             nb::arg("softcap").none(), nb::arg("first_key").none(), nb::arg("end_key").none(),
             nb::arg("words").none())
        .def("run", &Plan::run, nb::arg("query"), nb::arg("key"), nb::arg("value"), nb::arg("output"),
             nb::arg("logsumexp").none(), nb::arg("bias").none(), nb::arg("bias_format"),
             nb::arg("slopes").none(), nb::arg("sinks").none(), nb::arg("threads"), nb::arg("statistics").none() = nb::none())
        .def("run_pages", &Plan::run_pages, nb::arg("query"), nb::arg("key_pages"), nb::arg("value_pages"),
             nb::arg("key_scales").none(), nb::arg("value_scales").none(), nb::arg("block_table"),
             nb::arg("key_lens"), nb::arg("output"), nb::arg("logsumexp").none(), nb::arg("bias").none(),
             nb::arg("bias_format"), nb::arg("slopes").none(), nb::arg("sinks").none(), nb::arg("threads"),
             nb::arg("statistics").none() = nb::none());
    m.def("usable_levels", [] {
        std::vector<std::string> names;
        for (const KernelTable* table : usable_levels()) names.emplace_back(table->level);
        return names;
    });
    m.def("lanes", [](const std::string& level) { return level_named(level).lanes; }, nb::arg("level"));
    m.def("apply_function", &apply_function, nb::arg("level"), nb::arg("function"), nb::arg("from_"), nb::arg("to"));
    m.def("fma_limit", &fma_limit, nb::arg("level"), nb::arg("threads"), nb::arg("iterations"));
    m.def("read_bandwidth", &read_bandwidth, nb::arg("level"), nb::arg("data"), nb::arg("threads"));
}
