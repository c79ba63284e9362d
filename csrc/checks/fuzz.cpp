// A fuzzer of run_call() and run_gradients(), which the bindings call after their checks; for libFuzzer.
// Bytes choose sizes, formats, strides, pages, a mask, scoring, statistics, numbers, and one comparison.
//
// For every call that the bindings let through:
//   the address and undefined-behaviour sanitizers report nothing; no array has a spare byte at its end
//   all levels, and any number of threads, write the same bits
//   a call after an interrupted one writes the same bits
//   a row keeps its bits if all that it does not see, and every byte between the rows of an array, is NaN
// tests/fuzz/test_core.py draws arrays that the bindings must refuse.
#include <cstdio>
#include <optional>

#include "../dispatch.hpp"
#include "../run_call.hpp"
#include "../run_gradients.hpp"
#include "random_backward.hpp"

namespace {

using namespace attnscope;

void expect(bool same, const char* what) {
    if (same) return;
    std::fprintf(stderr, "fuzz: %s\n", what);
    std::abort();
}

// A call whose hidden slots can be NaN
template <typename Base>
class Hiding : public Base {
public:
    using Base::Base;
    using Base::call;

    // From now on, all that no row sees is NaN; and so is one key, as if no row saw it
    void hide(std::int64_t key) {
        hidden_key_ = key;
        const auto queries = [&](const auto& keep) {
            for_each_row([&](std::int64_t b, std::int64_t h, std::int64_t i) {
                if (sees_any(b, h, i)) keep(b, h, i);
            });
        };
        const auto keys = [&](const auto& keep) {
            for (std::int64_t b = 0; b < call.batch; ++b)
                for (std::int64_t j = 0; j < call.key_len; ++j)
                    for (std::int64_t g = 0; g < call.kv_heads; ++g)
                        if (is_seen(b, g, j)) keep(this->slot_of(b, j).b, g, this->slot_of(b, j).token);
        };
        leave_only(this->query(), queries);
        leave_only(this->key(), keys);
        leave_only(this->value(), keys);
        if (call.key_value_format == Format::int8)
            for (const std::size_t scales : {4u, 5u}) leave_only(*this->arrays_[scales], keys);
        if (this->bias_ != nullptr && this->bias_->dim == call.key_len) hide_bias();
    }

    // Whether both have the same bits in all rows that did not see the key
    bool has_rows_of(Hiding& other, std::int64_t key) {
        bool same = true;
        std::int64_t row = 0;
        for_each_row([&](std::int64_t b, std::int64_t h, std::int64_t i) {
            if (key < 0 || !other.sees(b, h, i, key)) same = same && has_row_of(other, row, b, h, i);
            ++row;
        });
        return same;
    }

protected:
    template <typename Body>
    void for_each_row(const Body& body) {
        for (std::int64_t b = 0; b < call.batch; ++b)
            for (std::int64_t h = 0; h < call.query_heads; ++h)
                for (std::int64_t i = 0; i < call.query_len; ++i) body(b, h, i);
    }
    bool sees_any(std::int64_t b, std::int64_t h, std::int64_t i) const {
        for (std::int64_t j = 0; j < call.key_len; ++j)
            if (j != hidden_key_ && this->sees(b, h, i, j)) return true;
        return false;
    }
    // Writes NaN over everything but the rows that `rows` calls its argument for
    template <typename Rows>
    static void leave_only(Memory& memory, const Rows& rows) {
        const std::vector<char> before = memory.bytes();
        std::fill(memory.bytes().begin(), memory.bytes().end(), static_cast<char>(-1));
        rows([&](std::int64_t b, std::int64_t h, std::int64_t t) {
            char* row = memory.row(b, h, t);
            std::copy_n(before.data() + (row - memory.bytes().data()), memory.dim * memory.item, row);
        });
    }

private:
    bool is_seen(std::int64_t b, std::int64_t kv_head, std::int64_t j) const {
        if (j == hidden_key_) return false;
        for (std::int64_t h = kv_head * call.group(); h < (kv_head + 1) * call.group(); ++h)
            for (std::int64_t i = 0; i < call.query_len; ++i)
                if (this->sees(b, h, i, j)) return true;
        return false;
    }
    void hide_bias() {
        Memory& bias = *this->bias_;
        const std::vector<char> before = bias.bytes();
        std::fill(bias.bytes().begin(), bias.bytes().end(), static_cast<char>(-1));
        for_each_row([&](std::int64_t b, std::int64_t h, std::int64_t i) {
            for (std::int64_t j = 0; j < call.key_len; ++j) {
                if (j == hidden_key_ || !this->sees(b, h, i, j)) continue;
                char* at = bias.row(b, h, i) + j * bias.item;
                std::copy_n(before.data() + (at - bias.bytes().data()), bias.item, at);
            }
        });
    }
    bool has_row_of(Hiding& other, std::int64_t row, std::int64_t b, std::int64_t h, std::int64_t i) {
        const auto same = [](const auto* one, const auto* two, std::int64_t count) {
            return count == 0 || std::memcmp(one, two, static_cast<std::size_t>(count) * sizeof *one) == 0;
        };
        const Statistics &one = call.statistics, &two = other.call.statistics;
        bool all = same(this->output().row(b, h, i), other.output().row(b, h, i),
                        this->output().dim * this->output().item) &&
                   same(call.logsumexp + row, other.call.logsumexp + row, 1);
        if (!one.wanted()) return all;
        for (const auto each : {&Statistics::entropy, &Statistics::max_weight, &Statistics::first_mass,
                                &Statistics::mean_distance, &Statistics::sink_mass})
            all = all && same(one.*each + row, two.*each + row, 1);
        for (const auto each : {&Statistics::max_key, &Statistics::visible_keys})
            all = all && same(one.*each + row, two.*each + row, 1);
        const std::int64_t top = one.top_keys, segments = one.segments;
        return all && same(one.segment_mass + row * segments, two.segment_mass + row * segments, segments) &&
               same(one.top_key + row * top, two.top_key + row * top, top) &&
               same(one.top_weight + row * top, two.top_weight + row * top, top);
    }

    std::int64_t hidden_key_ = -1;
};

class Forward : public Hiding<RandomCall> {
public:
    using Hiding::Hiding;

    bool run(const KernelTable& table, std::int64_t threads, const GoOn& go_on = {}) {
        return run_call(table, call, threads, go_on);
    }
    std::vector<std::vector<char>> results() {
        std::vector<std::vector<char>> copied;
        for_each_result([&](const auto* data, std::size_t bytes) {
            const char* first = reinterpret_cast<const char*>(data);
            copied.emplace_back(first, first + bytes);
        });
        return copied;
    }
};

class Backward : public Hiding<RandomBackward> {
public:
    using Hiding::Hiding;

    bool run(const KernelTable& table, std::int64_t threads, const GoOn& go_on = {}) {
        run_call(table, call, 1, {});
        leave_only(output(), [&](const auto& keep) {
            for_each_row([&](std::int64_t b, std::int64_t h, std::int64_t i) {
                if (sees_any(b, h, i)) keep(b, h, i);
            });
        });
        return run_gradients(table, describe(threads), threads, go_on);
    }
    void hide(std::int64_t) {
        Hiding::hide(-1);
        leave_only(grad_output_, [&](const auto& keep) {
            for_each_row([&](std::int64_t b, std::int64_t h, std::int64_t i) {
                if (sees_any(b, h, i)) keep(b, h, i);
            });
        });
    }
    bool has_rows_of(Backward& other, std::int64_t) { return results() == other.results(); }
    std::vector<std::vector<char>> results() {
        std::vector<std::vector<char>> copied;
        for_each_gradient([&](const auto* data, std::size_t bytes) {
            const char* first = reinterpret_cast<const char*>(data);
            copied.emplace_back(first, first + bytes);
        });
        return copied;
    }
};

template <typename Call>
void check(Random random, Kind kind) {
    const std::int64_t comparison = random.below(8), number = random.below(256);
    const std::vector<const KernelTable*>& levels = usable_levels();
    const KernelTable& level = *levels[static_cast<std::size_t>(number) % levels.size()];
    Call one(random, kind), other(random, kind);
    one.run(level, 1);
    if (comparison < 3) {
        other.run(*levels[static_cast<std::size_t>(number + 1) % levels.size()], 1);
        expect(one.results() == other.results(), "two levels differ");
    } else if (comparison == 3) {
        other.run(level, 2 + number % 2);
        expect(one.results() == other.results(), "threads change bits");
    } else if (comparison > 4) {
        const std::int64_t key = number % 2 == 0 ? -1 : number / 2;
        other.hide(key);
        other.run(level, 1);
        expect(other.has_rows_of(one, key), "a hidden slot changes a row");
    } else {
        std::int64_t left = number / 2;
        const bool complete = other.run(level, 2, [&] { return left-- > 0; });
        expect(complete || left < 0, "a call ended early");
        Call again(random, kind);
        again.run(level, 2);
        expect(one.results() == again.results(), "a call after an interrupted one differs");
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t count) {
    Random random(bytes, count);
    const std::int64_t kind = random.below(5);
    if (kind == 4)
        check<Backward>(random, {.gradients = true, .extremes = true});
    else
        check<Forward>(random, {.statistics = kind % 2 == 1, .pages = kind >= 2, .extremes = true});
    return 0;
}
