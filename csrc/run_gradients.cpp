// Strips of keys over threads, in an order that does not depend on the threads.
//
// A strip's gradients of keys and values are its own. Query gradients sum over strips: each block of rows
// counts the strips that have added their share, and a strip waits for its turn at each block. Strips are
// taken one at a time in rising order and wait only for lower ones, so one that all others wait for is always
// at work. One long head is shared by all threads: each follows the one before it by a block of rows.
#include "run_gradients.hpp"

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

namespace attnscope {
namespace {

constexpr std::int64_t means_per_task = 256;

// The strips that a block of rows sees: at most two runs, from first to before end, the second after the
// first
struct SeenStrips {
    std::int32_t first[2], end[2];

    bool contains(std::int64_t strip) const {
        return (strip >= first[0] && strip < end[0]) || (strip >= first[1] && strip < end[1]);
    }
    std::int64_t before(std::int64_t strip) const {
        std::int64_t count = 0;
        for (int s = 0; s < 2; ++s) count += std::clamp<std::int64_t>(strip - first[s], 0, end[s] - first[s]);
        return count;
    }
    std::int64_t count() const { return end[0] - first[0] + end[1] - first[1]; }
};

SeenStrips strips_of(const GradientCall& call, std::int64_t batch, std::int64_t block) {
    const AttentionCall& attention = call.attention;
    const Visibility& visibility = attention.visibility;
    const auto strips = static_cast<std::int32_t>(call.strips());
    if (visibility.first_key == nullptr) return {{0, 0}, {strips, 0}};
    const std::int64_t row = block * rows_per_block - call.first_place(), group = attention.group();
    const std::int64_t first_query = std::max<std::int64_t>(row, 0) / group;
    const std::int64_t end_query = (std::min(row + rows_per_block, call.rows()) + group - 1) / group;
    SeenStrips seen = {{strips, strips}, {0, 0}};
    for (std::int64_t query = first_query; query < end_query; ++query)
        for (std::int64_t s = 0; s < visibility.spans; ++s) {
            const std::int64_t at = batch * visibility.span_batch_stride + query * visibility.spans + s;
            const std::int64_t first = visibility.first_key[at], end = visibility.end_key[at];
            if (first >= end) continue;
            seen.first[s] = std::min(seen.first[s], static_cast<std::int32_t>(first / strip_keys));
            seen.end[s] =
                std::max(seen.end[s], static_cast<std::int32_t>((end + strip_keys - 1) / strip_keys));
        }
    for (int s = 0; s < 2; ++s) seen.end[s] = std::max(seen.end[s], seen.first[s]);
    seen.first[1] = std::max(seen.first[1], seen.end[0]);
    seen.end[1] = std::max(seen.end[1], seen.first[1]);
    return seen;
}

class Backward {
public:
    Backward(const KernelTable& table, const GradientCall& call, const GoOn& go_on)
        : table_(table),
          call_(call),
          go_on_(go_on),
          caller_(std::this_thread::get_id()),
          done_(static_cast<std::size_t>(call.heads() * call.blocks())),
          strips_left_(static_cast<std::size_t>(call.heads())) {
        const std::int64_t shared =
            call.attention.visibility.span_batch_stride == 0 ? 1 : call.attention.batch;
        for (std::int64_t batch = 0; batch < shared; ++batch)
            for (std::int64_t block = 0; block < call.blocks(); ++block)
                seen_.push_back(strips_of(call, batch, block));
        for (auto& left : strips_left_) left = call.strips();
    }

    // Takes strips until none is left
    void work(void* workspace) {
        const std::int64_t tasks = call_.heads() * call_.strips();
        for (std::int64_t task; (task = next_.fetch_add(1)) < tasks && !stopped_;)
            take_strip(task, workspace);
    }

    bool complete() const { return !stopped_; }

private:
    // As many heads at once as threads, strip by strip: neighbouring tasks are of different heads and need
    // not wait
    void take_strip(std::int64_t task, void* workspace) {
        const std::int64_t together = call_.heads_at_once, strips = call_.strips();
        const std::int64_t first_head = task / (together * strips) * together;
        const std::int64_t heads = std::min(together, call_.heads() - first_head);
        const std::int64_t of_these = task - first_head * strips;
        const std::int64_t head = first_head + of_these % heads, index = of_these / heads;
        const Strip strip = {.head = head,
                             .first_key = index * strip_keys,
                             .end_key = std::min((index + 1) * strip_keys, call_.attention.key_len)};
        // Its query sums are in the memory of an earlier head's
        if (call_.query_sums != nullptr && head >= together)
            wait_until([&] { return left(head - together) == 0; });
        table_.begin_strip(call_, strip, workspace);
        for (std::int64_t block = 0; block < call_.blocks() && !stopped_; ++block) {
            const SeenStrips& seen = seen_of(head, block);
            if (!seen.contains(index)) continue;
            table_.take_row_block(call_, strip, block, workspace);
            const std::int64_t turn = seen.before(index);
            std::atomic<std::int32_t>& done = done_[static_cast<std::size_t>(head * call_.blocks() + block)];
            wait_until([&] { return done.load(std::memory_order_acquire) == turn; });
            if (stopped_) return;
            table_.add_query_gradients(call_, strip, block, {turn == 0, turn + 1 == seen.count()}, workspace);
            done.store(static_cast<std::int32_t>(turn) + 1, std::memory_order_release);
            if (go_on_ && std::this_thread::get_id() == caller_ && !go_on_()) stopped_ = true;
        }
        if (stopped_) return;
        table_.finish_strip(call_, strip, workspace);
        strips_left_[static_cast<std::size_t>(head)].fetch_sub(1, std::memory_order_release);
    }

    template <typename Condition>
    void wait_until(const Condition& met) const {
        while (!met() && !stopped_) std::this_thread::yield();
    }

    std::int64_t left(std::int64_t head) const {
        return strips_left_[static_cast<std::size_t>(head)].load(std::memory_order_acquire);
    }
    const SeenStrips& seen_of(std::int64_t head, std::int64_t block) const {
        const bool shared = call_.attention.visibility.span_batch_stride == 0;
        const std::int64_t batch = shared ? 0 : head / call_.attention.kv_heads;
        return seen_[static_cast<std::size_t>(batch * call_.blocks() + block)];
    }

    const KernelTable& table_;
    const GradientCall& call_;
    const GoOn& go_on_;
    std::thread::id caller_;
    std::vector<SeenStrips> seen_;                        // [batch or 1][block]
    std::vector<std::atomic<std::int32_t>> done_;         // [head][block]: strips that have added their share
    std::vector<std::atomic<std::int64_t>> strips_left_;  // [head]
    std::atomic<std::int64_t> next_ = 0;
    std::atomic<bool> stopped_ = false;
};

double multiply_adds(const AttentionCall& call) {
    return static_cast<double>(call.batch) * static_cast<double>(call.query_heads) *
           static_cast<double>(call.query_len) * static_cast<double>(call.key_len) *
           static_cast<double>(3 * call.key_dim + 2 * call.value_dim);
}

}  // namespace

bool run_gradients(const KernelTable& table, const GradientCall& call, std::int64_t threads,
                   const GoOn& go_on) {
    const bool is_small = multiply_adds(call.attention) < worth_a_thread;
    const GoOn never_asked;
    const GoOn& asked = is_small ? never_asked : go_on;
    const std::int64_t used = is_small ? 1 : threads;
    const std::int64_t rows = call.attention.batch * call.attention.query_heads * call.attention.query_len;
    const auto find_means = [&](std::int64_t task, void*) {
        table.find_means(call, task * means_per_task, std::min((task + 1) * means_per_task, rows));
    };
    if (!parallel_for((rows + means_per_task - 1) / means_per_task, used, 0, find_means, asked)) return false;
    Backward backward(table, call, asked);
    const std::int64_t workers = std::min(used, call.heads() * call.strips());
    parallel_for(workers, workers, table.count_gradient_workspace_bytes(call),
                 [&](std::int64_t, void* workspace) { backward.work(workspace); });
    return backward.complete();
}

}  // namespace attnscope
