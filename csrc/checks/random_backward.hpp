// The backward pass of a small attention problem: of one strip of keys, so that strips need no order.
#pragma once

#include "../gradient_call.hpp"
#include "random_call.hpp"

namespace attnscope {

class RandomBackward : public RandomCall {
public:
    explicit RandomBackward(int number) : RandomCall(number, false) {
        const std::int64_t query_rows = call.batch * call.query_heads * call.query_len;
        const std::int64_t key_rows = call.batch * call.kv_heads * call.key_len;
        grad_output_ = array(query_rows * call.value_dim, call.format);
        grad_query_.resize(static_cast<std::size_t>(query_rows * call.key_dim * item()));
        grad_key_.resize(static_cast<std::size_t>(key_rows * call.key_dim * item()));
        grad_value_.resize(static_cast<std::size_t>(key_rows * call.value_dim * item()));
        mean_.resize(static_cast<std::size_t>(query_rows));
        query_sums_.resize(static_cast<std::size_t>(call.query_len * call.group() * call.key_dim));
        grad_bias_.resize(static_cast<std::size_t>(query_rows * call.key_len));
        backward_.attention = call;
        const char* output = call.output.data;
        backward_.output = view(output, call.query_heads, call.query_len, call.value_dim);
        backward_.logsumexp = call.logsumexp;
        backward_.grad_output =
            view(std::as_const(grad_output_).data(), call.query_heads, call.query_len, call.value_dim);
        backward_.grad_query = view(grad_query_.data(), call.query_heads, call.query_len, call.key_dim);
        backward_.grad_key = view(grad_key_.data(), call.kv_heads, call.key_len, call.key_dim);
        backward_.grad_value = view(grad_value_.data(), call.kv_heads, call.key_len, call.value_dim);
        backward_.mean = mean_.data();
        backward_.heads_at_once = 1;
        if (call.format != Format::float32) backward_.query_sums = query_sums_.data();
        if (call.bias.data != nullptr) backward_.grad_bias = grad_bias_.data();
    }

    bool is_one_strip() const { return backward_.strips() == 1; }

    void run_backward(const KernelTable& table) {
        void* work = strip_workspace(table);
        table.find_means(backward_, 0, static_cast<std::int64_t>(mean_.size()));
        for (std::int64_t head = 0; head < backward_.heads(); ++head) {
            const Strip strip = {.head = head, .first_key = 0, .end_key = call.key_len};
            table.begin_strip(backward_, strip, work);
            for (std::int64_t block = 0; block < backward_.blocks(); ++block) {
                table.take_row_block(backward_, strip, block, work);
                table.add_query_gradients(backward_, strip, block, {.first = true, .last = true}, work);
            }
            table.finish_strip(backward_, strip, work);
        }
    }

    // Calls body(data, bytes) for each gradient
    template <typename Body>
    void for_each_gradient(const Body& body) {
        body(grad_query_.data(), grad_query_.size());
        body(grad_key_.data(), grad_key_.size());
        body(grad_value_.data(), grad_value_.size());
        body(grad_bias_.data(), grad_bias_.size() * sizeof(float));
    }

    // As poison(), for the backward pass
    void poison_backward(const KernelTable& table) {
        fill(strip_workspace(table), static_cast<std::size_t>(strip_bytes(table)));
        fill(mean_.data(), mean_.size() * sizeof(float));
        fill(query_sums_.data(), query_sums_.size() * sizeof(float));
        for (std::vector<char>* gradient : {&grad_query_, &grad_key_, &grad_value_})
            fill(gradient->data(), gradient->size() / sizeof(float) * sizeof(float));
    }

private:
    std::int64_t strip_bytes(const KernelTable& table) const {
        return (table.count_gradient_workspace_bytes(backward_) + 63) / 64 * 64;
    }
    void* strip_workspace(const KernelTable& table) {
        if (!strip_workspace_)
            strip_workspace_.reset(std::aligned_alloc(64, static_cast<std::size_t>(strip_bytes(table))));
        return strip_workspace_.get();
    }

    GradientCall backward_ = {};
    std::vector<char> grad_output_, grad_query_, grad_key_, grad_value_;
    std::vector<float> mean_, query_sums_, grad_bias_;
    std::unique_ptr<void, Free> strip_workspace_;
};

}  // namespace attnscope
