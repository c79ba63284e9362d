// The description of a backward pass, and how it is cut: strips of keys by blocks of query rows.
//
// Rows of a kv head are in the order query by query and, within a query, head by head of the group. Row r is
// at the place r + (key_len - query_len) * group, and a block is 64 places from a multiple of 64 on. So
// leading queries that are missing change neither the rows of a block nor their order, and with it no sum.
#pragma once

#include "kernel_table.hpp"

namespace attnscope {

inline constexpr std::int64_t rows_per_block = 64;
inline constexpr std::int64_t strip_keys = 4 * block_keys;

struct GradientCall {
    AttentionCall attention;  // inputs, mask and scoring; its output and logsumexp are not used
    InputArray output;        // of the forward pass, in the format attention.output_format
    const float* logsumexp;   // of the forward pass: [batch][query_heads][query_len]
    InputArray grad_output;   // this and the gradients are in the format of the inputs
    OutputArray grad_query, grad_key, grad_value;
    float* grad_bias;  // [batch][query_heads][query_len][key_len], or null
    float* mean;       // [batch][query_heads][query_len]: grad_output . output
    // Query gradients are added up in float32 over the strips: in grad_query itself if it is float32, and
    // otherwise here, [heads_at_once][rows][key_dim]
    float* query_sums;
    std::int64_t heads_at_once;

    std::int64_t rows() const { return attention.query_len * attention.group(); }
    std::int64_t heads() const { return attention.batch * attention.kv_heads; }
    // The place of row 0 in its block
    std::int64_t first_place() const {
        const std::int64_t place =
            (attention.key_len - attention.query_len) * attention.group() % rows_per_block;
        return place < 0 ? place + rows_per_block : place;
    }
    std::int64_t blocks() const { return (first_place() + rows() + rows_per_block - 1) / rows_per_block; }
    std::int64_t strips() const { return (attention.key_len + strip_keys - 1) / strip_keys; }
};

// The keys [first_key, end_key) of one kv head
struct Strip {
    std::int64_t head;  // batch row * kv_heads + kv head
    std::int64_t first_key, end_key;
};

// How a strip adds to the query gradients of a block
struct Turn {
    bool first, last;  // among the strips that the block sees
};

}  // namespace attnscope
