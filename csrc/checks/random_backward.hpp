// The backward pass of a small attention call.
#pragma once

#include "../gradient_call.hpp"
#include "random_call.hpp"

namespace attnscope {

class RandomBackward : public RandomCall {
public:
    RandomBackward(Random random, Kind kind)
        : RandomCall(random, {.gradients = true, .extremes = kind.extremes}),
          grad_output_(add(query_rows(), call.value_dim, call.format)),
          grad_query_(add_result(query_rows(), call.key_dim, call.format)),
          grad_key_(add_result(key_rows(), call.key_dim, call.format)),
          grad_value_(add_result(key_rows(), call.value_dim, call.format)) {
        mean_.resize(logsumexp_.size());
        if (bias_ != nullptr && !random_.one_in(3))
            grad_bias_.resize(logsumexp_.size() * static_cast<std::size_t>(call.key_len));
    }

    bool is_one_strip() { return describe(1).strips() == 1; }

    // With room for the query gradients of so many heads
    GradientCall describe(std::int64_t heads_at_once) {
        GradientCall backward = {.attention = call,
                                 .output = output().view<const char>(),
                                 .logsumexp = call.logsumexp,
                                 .grad_output = grad_output_.view<const char>(),
                                 .grad_query = grad_query_.view<char>(),
                                 .grad_key = grad_key_.view<char>(),
                                 .grad_value = grad_value_.view<char>(),
                                 .grad_bias = grad_bias_.empty() ? nullptr : grad_bias_.data(),
                                 .mean = mean_.data(),
                                 .query_sums = nullptr,
                                 .heads_at_once = heads_at_once};
        if (call.format != Format::float32) {
            const std::int64_t floats = heads_at_once * backward.rows() * call.key_dim;
            query_sums_.resize(static_cast<std::size_t>(std::max<std::int64_t>(1, floats)));  // never null
            backward.query_sums = query_sums_.data();
        }
        return backward;
    }

    void run_backward(const KernelTable& table) {
        const GradientCall backward = describe(1);
        void* work = strip_workspace(table);
        table.find_means(backward, 0, static_cast<std::int64_t>(mean_.size()));
        for (std::int64_t head = 0; head < backward.heads(); ++head) {
            const Strip strip = {.head = head, .first_key = 0, .end_key = call.key_len};
            table.begin_strip(backward, strip, work);
            for (std::int64_t block = 0; block < backward.blocks(); ++block) {
                table.take_row_block(backward, strip, block, work);
                table.add_query_gradients(backward, strip, block, {.first = true, .last = true}, work);
            }
            table.finish_strip(backward, strip, work);
        }
    }

    // Calls body(data, bytes) for each gradient
    template <typename Body>
    void for_each_gradient(const Body& body) {
        for (Memory* gradient : gradients()) body(gradient->bytes().data(), gradient->bytes().size());
        body(grad_bias_.data(), grad_bias_.size() * sizeof(float));
    }

    // As poison(), for the backward pass
    void poison_backward(const KernelTable& table) {
        fill(strip_workspace(table), static_cast<std::size_t>(strip_bytes(table)));
        fill(mean_.data(), mean_.size() * sizeof(float));
        fill(query_sums_.data(), query_sums_.size() * sizeof(float));
        for (Memory* gradient : gradients()) fill(gradient->bytes().data(), gradient->bytes().size());
    }

protected:
    std::array<Memory*, 3> gradients() { return {&grad_query_, &grad_key_, &grad_value_}; }

    Memory &grad_output_, &grad_query_, &grad_key_, &grad_value_;
    std::vector<float> mean_, query_sums_, grad_bias_;

private:
    std::int64_t strip_bytes(const KernelTable& table) {
        return (table.count_gradient_workspace_bytes(describe(1)) + 63) / 64 * 64;
    }
    void* strip_workspace(const KernelTable& table) {
        if (!strip_workspace_) strip_workspace_ = aligned(strip_bytes(table));
        return strip_workspace_.get();
    }

    Workspace strip_workspace_;
};

}  // namespace attnscope
