// The contract between a CPU level and the rest: the description of a call, and the functions for it.
#pragma once

#include <cstdint>

namespace attnscope {

// int8 for keys and values only; each token and head then has a scale
enum class Format : std::int32_t { float32, bfloat16, float16, int8 };

// Scores are computed 64 keys at a time, so that a row's visible keys of a block are the bits of one word
inline constexpr std::int64_t block_keys = 64;
// A longer row is computed in parts of this many keys; the parts' results are merged left to right
inline constexpr std::int64_t part_keys = 8192;
// Segments of observe(): a block's set of segments is one word, too
inline constexpr std::int64_t most_segments = 64;
// Statistics hold keys and counts as float32, which is exact for integers below this
inline constexpr std::int64_t most_observed_keys = std::int64_t{1} << 24;

// An array [batch][head][token][dim], the last axis contiguous; strides in bytes. Byte: const char or char.
template <typename Byte>
struct StridedArray {
    Byte* data;
    std::int64_t batch_stride, head_stride, token_stride;
};
using InputArray = StridedArray<const char>;
using OutputArray = StridedArray<char>;

// Keys and values kept in pages: token t of a sequence is in page table[sequence][t / page_tokens], and the
// arrays are [page][head][token of the page][dim]. table is null if there are no pages.
struct Pages {
    const std::int32_t* table;
    std::int64_t table_stride;  // in entries
    std::int64_t page_tokens;
};

// The keys that each row sees: at most two spans of keys per row, or one bit per key. Null: not in use.
struct Visibility {
    const std::int32_t* first_key;  // [batch or 1][query_len][spans]
    const std::int32_t* end_key;
    std::int64_t spans;
    std::int64_t span_batch_stride;  // in elements; 0 if all batch rows share the spans
    const std::uint64_t* words;      // [batch or 1][query_heads or 1][query_len or 1][words per row]
    std::int64_t words_batch_stride, words_head_stride, words_query_stride;  // in words; 0 if shared
};

// A dense additive term [batch][query_head][query][key]; strides in bytes, 0 along axes that are broadcast
struct Bias {
    const char* data;
    Format format;
    std::int64_t batch_stride, head_stride, query_stride, key_stride;
};

// What observe() computes beside the output: contiguous arrays, null if absent. A row: one query of one head.
struct Statistics {
    const std::uint8_t* labels;  // [batch or 1][key_len]: the segment of each key
    std::int64_t labels_batch_stride, segments, first_keys, top_keys;
    float *entropy, *max_weight, *first_mass, *mean_distance, *sink_mass;  // [row]
    std::int32_t *max_key, *visible_keys;                                  // [row]
    float* segment_mass;                                                   // [row][segments]
    std::int32_t* top_key;                                                 // [row][top_keys]
    float* top_weight;                                                     // [row][top_keys]
    // The survey is a second pass over the scores, for results that need a row's final sum. The first pass
    // writes `largest` and `share`: weight = exp2(score - largest) * share sums to 1 over the visible keys.
    float *largest, *share;  // [row]
    const float* counted;    // [row]: the factor of a row in `received`; null: 1
    float* received;         // [batch][query_heads][key_len]
    float* map;              // [batch][query_heads][map_rows][map_columns]
    std::int64_t map_rows, map_columns;

    bool wanted() const { return entropy != nullptr; }
    bool surveys() const { return received != nullptr || map != nullptr; }
};

struct AttentionCall {
    std::int64_t batch, query_heads, kv_heads, query_len, key_len, key_dim, value_dim;
    Format format, key_value_format, output_format;
    InputArray query, key, value;
    InputArray key_scales, value_scales;  // of int8: one float per token and head, without the last axis
    Pages pages;
    const std::int64_t* key_lens;  // [batch]: the number of keys of each batch row if they differ, or null
    OutputArray output;
    float* logsumexp;  // [batch][query_heads][query_len] contiguous, or null
    Visibility visibility;
    Bias bias;            // data is null if there is none
    const float* slopes;  // [query_heads] or null
    const float* sinks;   // [query_heads] or null
    double scale;
    double softcap;  // valid if has_softcap
    bool has_softcap;
    Statistics statistics;

    std::int64_t group() const { return query_heads / kv_heads; }
    std::int64_t keys_of(std::int64_t batch_row) const {
        return key_lens == nullptr ? key_len : key_lens[batch_row];
    }
    // Whether the keys of every block follow each other at one stride
    bool whole_blocks() const { return pages.table == nullptr || pages.page_tokens % block_keys == 0; }
    std::int64_t parts() const { return key_len <= part_keys ? 1 : (key_len + part_keys - 1) / part_keys; }
};

struct GradientCall;
struct Strip;
struct Turn;

// The functions of one level. Work is cut into tiles: rows that read the same keys and values.
struct KernelTable {
    const char* level;
    std::int32_t lanes;
    std::int64_t (*count_tiles)(const AttentionCall& call);
    std::int64_t (*count_workspace_bytes)(const AttentionCall& call);
    std::int64_t (*count_state_floats)(const AttentionCall& call);
    // Computes some of the tiles [first, end), at least the first, and returns the first tile not computed.
    // The workspace is 64-byte aligned and belongs to one thread.
    std::int64_t (*run_some_tiles)(const AttentionCall& call, std::int64_t first, std::int64_t end,
                                   void* workspace);
    // The same in two steps, so that threads can share a long row: first each part into a state of its own,
    // then a tile's states, which follow each other in memory, into its output rows.
    void (*run_part)(const AttentionCall& call, std::int64_t tile, std::int64_t part, float* state,
                     void* workspace);
    void (*finish_tile)(const AttentionCall& call, std::int64_t tile, float* states);
    // The second pass of observe(). No two tasks share a key of a head, so no two write to the same place.
    std::int64_t (*count_survey_tasks)(const AttentionCall& call);
    std::int64_t (*count_survey_workspace_bytes)(const AttentionCall& call);
    void (*run_survey)(const AttentionCall& call, std::int64_t task, void* workspace);
    // The backward pass of a strip of keys: begin, then each block of rows in rising order, then finish.
    // After a block, its share of the query gradients is added, in the order of the strips. The workspace
    // belongs to the strip.
    std::int64_t (*count_gradient_workspace_bytes)(const GradientCall& call);
    void (*find_means)(const GradientCall& call, std::int64_t first_row, std::int64_t end_row);
    void (*begin_strip)(const GradientCall& call, const Strip& strip, void* workspace);
    void (*take_row_block)(const GradientCall& call, const Strip& strip, std::int64_t block, void* workspace);
    void (*add_query_gradients)(const GradientCall& call, const Strip& strip, std::int64_t block, Turn turn,
                                void* workspace);
    void (*finish_strip)(const GradientCall& call, const Strip& strip, void* workspace);
    // The machine's limits, with the same instructions: multiply-adds from registers, a streaming read
    double (*fma_loop)(std::int64_t iterations, std::int64_t* flops);
    double (*read_loop)(const float* data, std::int64_t count);
    // The level's own exp2 and tanh, for their tests
    void (*apply_function)(int function, const float* from, float* to, std::int64_t count);
};

}  // namespace attnscope
