// The one contract between a CPU level and the rest: what a call asks, and which functions answer it.
#pragma once

#include <cstdint>

namespace attnscope {

enum class Format : std::int32_t { float32, bfloat16, float16, int8 };

// Scores are taken 64 keys at a time: one bit of a word a key.
inline constexpr std::int64_t block_keys = 64;
// A longer row is finished as a partial every `part_keys` keys; the partials are merged left to right.
inline constexpr std::int64_t part_keys = 8192;

// An array [batch][head][token][dim], the last axis contiguous; strides in bytes.
struct Array4 {
    const char* data;
    std::int64_t batch_stride, head_stride, token_stride;
};

// Keys and values kept in pages: token t of a sequence lies in page table[sequence][t / page_tokens], whose arrays are
// [page][head][token of the page][dim]. A null table: no pages, and an array's batch_stride leads to its batch row.
struct Pages {
    const std::int32_t* table;
    std::int64_t table_stride;  // in entries
    std::int64_t page_tokens;
};

// int8 elements are worth this much each: one float a token and head; strides in bytes as in the array it belongs to
struct Scales {
    const char* data;
    std::int64_t batch_stride, head_stride, token_stride;
};

// Which keys a row sees: at most two runs of keys a row, or a bit a key. A null pointer: this form is not in use.
struct Visibility {
    const std::int32_t* first_key;  // [batch or 1][query_len][spans]
    const std::int32_t* end_key;
    std::int64_t spans;
    std::int64_t span_batch_stride;  // in elements; 0 where all batch rows share them
    const std::uint64_t* words;      // [batch or 1][query_heads or 1][query_len or 1][words_per_row]
    std::int64_t words_batch_stride, words_head_stride, words_query_stride;  // in words; 0 where shared
};

// A dense additive term [batch][query_head][query][key]; strides in bytes, 0 where broadcast.
struct Bias {
    const char* data;
    Format format;
    std::int64_t batch_stride, head_stride, query_stride, key_stride;
};

// What observe() asks beside the output: contiguous arrays, null where not asked for. A row is one query of one head.
struct Statistics {
    const std::uint8_t* labels;  // [batch or 1][key_len]: the segment of each key
    std::int64_t labels_batch_stride, segments, first_keys, top_keys;
    float *entropy, *max_weight, *first_mass, *mean_distance, *sink_mass;  // [batch][query_heads][query_len]
    std::int32_t *max_key, *visible_keys;
    float* segment_mass;                           // [row][segments]
    std::int32_t* top_key;                         // [row][top_keys]
    float* top_weight;                             // [row][top_keys]
    // The survey, a second pass over the scores, for what needs a row's final sum: weight = exp2(score - largest) * share,
    // which sums to 1 over the visible keys
    float *largest, *share;                        // a row's, written by the first pass
    const float* counted;                          // how much a row counts in `received`; null: 1
    float* received;                               // [batch][query_heads][key_len]
    float* map;                                    // [batch][query_heads][map_rows][map_columns]
    std::int64_t map_rows, map_columns;

    bool wanted() const { return entropy != nullptr; }
    bool surveys() const { return received != nullptr || map != nullptr; }
};

struct AttentionCall {
    std::int64_t batch, query_heads, kv_heads, query_len, key_len, key_dim, value_dim;
    Format format, key_value_format, output_format;
    Array4 query, key, value;
    Scales key_scales, value_scales;  // for int8
    Pages pages;
    const std::int64_t* key_lens;  // [batch]: the keys that each batch row has, where they differ; or null
    Array4 output;  // written; const char* only for the shared shape
    float* logsumexp;  // [batch][query_heads][query_len] contiguous, or null
    Visibility visibility;
    Bias bias;            // data null: none
    const float* slopes;  // [query_heads] or null
    const float* sinks;   // [query_heads] or null
    double scale;
    double softcap;  // used where has_softcap
    bool has_softcap;
    Statistics statistics;

    std::int64_t group() const { return query_heads / kv_heads; }
    std::int64_t keys_of(std::int64_t batch_row) const { return key_lens == nullptr ? key_len : key_lens[batch_row]; }
    // Whether the keys of a block always follow each other at one stride
    bool whole_blocks() const { return pages.table == nullptr || pages.page_tokens % block_keys == 0; }
    std::int64_t parts() const { return key_len <= part_keys ? 1 : (key_len + part_keys - 1) / part_keys; }
};

// Work is cut into tiles: rows that read the same keys and values. A row's bits do not depend on its tile.
struct KernelTable {
    const char* level;
    std::int32_t lanes;
    std::int64_t (*tiles)(const AttentionCall& call);
    std::int64_t (*workspace_bytes)(const AttentionCall& call);
    std::int64_t (*state_floats)(const AttentionCall& call);
    // Runs some of the tiles [first, end), at least the first, and returns the first one that it has not run.
    // The workspace is 64-byte aligned and belongs to one thread.
    std::int64_t (*run_some_tiles)(const AttentionCall& call, std::int64_t first, std::int64_t end, void* workspace);
    // The same in two steps, so that threads can share a long row: each part into a state of its own, then all of a
    // tile's states, one after another in memory, into its rows
    void (*run_part)(const AttentionCall& call, std::int64_t tile, std::int64_t part, float* state, void* workspace);
    void (*finish_tile)(const AttentionCall& call, std::int64_t tile, float* states);
    // The second pass of observe(): each task has some of the keys to itself
    std::int64_t (*survey_tasks)(const AttentionCall& call);
    std::int64_t (*survey_workspace_bytes)(const AttentionCall& call);
    void (*run_survey)(const AttentionCall& call, std::int64_t task, void* workspace);
    // The machine's limits, by the same instructions: fused multiply-adds from registers, and a streaming read.
    double (*fma_loop)(std::int64_t iterations, std::int64_t* flops);
    double (*read_loop)(const float* data, std::int64_t count);
    // The level's own exp2 and tanh, for their tests
    void (*apply_function)(int function, const float* from, float* to, std::int64_t count);
};

}  // namespace attnscope
