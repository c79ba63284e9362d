// The rows of a block and the keys of a strip, as the products of the backward pass read them.
//
// layout  each array is read twice: with a row per lane for the scores, and row by row for the sums. Rows are
//         copied, widened to float32 and padded: any strides, formats and dims become one case, for 2 % of
//         the time.
#pragma once

namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE {
namespace {

// One line more than the dims need: rows that are a large power of two apart would share few sets of the
// cache
ATTNSCOPE_INLINE std::int64_t padded(std::int64_t dim) { return (dim + 15) / 16 * 16 + 16; }
// The dims that products write: whole vectors
ATTNSCOPE_INLINE std::int64_t whole_vectors(std::int64_t dim) { return (dim + lanes - 1) / lanes * lanes; }

// A strip's scratch memory. The sums of the strip's keys are kept from block to block, all else belongs to a
// block.
struct GradientWorkspace {
    float *keys, *values;          // [strip_keys][padded dim]
    float *key_sums, *value_sums;  // [strip_keys][padded dim]
    float *packed_query,
        *packed_grad;                  // [dim][rows_per_block], residue by residue; the query times the scale
    float *query, *grad, *query_sums;  // [rows_per_block][padded dim]
    float *weights, *grad_scores, *bias;  // [block_keys][rows_per_block]
    bool* finite_keys;                    // of each block of the strip
};

static std::int64_t divide_gradient_workspace(const GradientCall& call, void* base, GradientWorkspace& work) {
    const std::int64_t key_dim = call.attention.key_dim, value_dim = call.attention.value_dim;
    char* start = static_cast<char*>(base);
    std::int64_t used = 0;
    const auto take = [&](float*& piece, std::int64_t floats) {
        piece = base == nullptr ? nullptr : reinterpret_cast<float*>(start + used);
        used += (floats * static_cast<std::int64_t>(sizeof(float)) + 63) / 64 * 64;
    };
    take(work.keys, strip_keys * padded(key_dim));
    take(work.key_sums, strip_keys * padded(key_dim));
    take(work.values, strip_keys * padded(value_dim));
    take(work.value_sums, strip_keys * padded(value_dim));
    take(work.packed_query, rows_per_block * key_dim);
    take(work.packed_grad, rows_per_block * value_dim);
    take(work.query, rows_per_block * padded(key_dim));
    take(work.query_sums, rows_per_block * padded(key_dim));
    take(work.grad, rows_per_block * padded(value_dim));
    take(work.weights, block_keys * rows_per_block);
    take(work.grad_scores, block_keys * rows_per_block);
    take(work.bias, call.attention.bias.data == nullptr ? 0 : block_keys * rows_per_block);
    work.finite_keys = base == nullptr ? nullptr : reinterpret_cast<bool*>(start + used);
    return used + 64;
}

// The rows of a block: those at the places [first, end); the other places are empty, and hidden from every
// key
struct GradientRows {
    std::int64_t batch, kv_head, first, end;
    std::int64_t query[rows_per_block], head[rows_per_block];

    std::int64_t index(const AttentionCall& call, std::int64_t place) const {
        return (batch * call.query_heads + head[place]) * call.query_len + query[place];
    }
};

static GradientRows find_gradient_rows(const GradientCall& call, const Strip& strip, std::int64_t block) {
    const AttentionCall& attention = call.attention;
    const std::int64_t group = attention.group(), row = block * rows_per_block - call.first_place();
    GradientRows rows;
    rows.batch = strip.head / attention.kv_heads;
    rows.kv_head = strip.head % attention.kv_heads;
    rows.first = larger(-row, 0);
    rows.end = smaller(call.rows() - row, rows_per_block);
    std::int64_t query = (row + rows.first) / group, of_group = (row + rows.first) % group;
    for (std::int64_t place = rows.first; place < rows.end; ++place) {
        rows.query[place] = query;
        rows.head[place] = rows.kv_head * group + of_group;
        if (++of_group == group) of_group = 0, ++query;
    }
    return rows;
}

// Bit k: the row sees key first + k
ATTNSCOPE_INLINE std::uint64_t visible_bits(const AttentionCall& call, const GradientRows& rows,
                                            std::int64_t place, std::int64_t first) {
    const Visibility& visibility = call.visibility;
    const std::uint64_t present = bits_below(call.key_len - first);
    if (visibility.first_key != nullptr) {
        const std::int64_t at =
            rows.batch * visibility.span_batch_stride + rows.query[place] * visibility.spans;
        std::uint64_t bits = 0;
        for (std::int64_t s = at; s < at + visibility.spans; ++s)
            bits |= bits_below(visibility.end_key[s] - first) & ~bits_below(visibility.first_key[s] - first);
        return bits & present;
    }
    if (visibility.words == nullptr) return present;
    const std::uint64_t* words = visibility.words + rows.batch * visibility.words_batch_stride +
                                 rows.head[place] * visibility.words_head_stride +
                                 rows.query[place] * visibility.words_query_stride;
    return words[first / block_keys] & present;
}

// wide[i][d] = the row at address(i), for the rows [first, end) of `count`; the others are 0, and so is what
// pads a row. Returns whether all are finite: times 0 and added up, other elements leave a NaN.
template <typename Address>
static bool copy_rows(std::int64_t first, std::int64_t end, std::int64_t count, std::int64_t dim,
                      Format format, const Address& address, float* wide) {
    const std::int64_t stride = padded(dim);
    Vector sum = zero();
    for (std::int64_t i = 0; i < count; ++i) {
        float* to = wide + i * stride;
        std::int64_t d = 0;
        if (i >= first && i < end) {
            widen_row(address(i), dim, format, 1.0f, to);
            d = dim;
        }
        for (; d < stride; ++d) to[d] = 0.0f;
        for (d = 0; d < dim; d += lanes) sum = fma(load(to + d), zero(), sum);
    }
    return !any(is_nan(sum));
}

// packed[d][row] = factor * wide[row][d], first all d of residue 0
static void pack_block(const float* wide, std::int64_t dim, double factor, float* packed) {
    const std::int64_t stride = padded(dim);
    std::int64_t start[residues + 1] = {};
    for (int residue = 0; residue < residues; ++residue)
        start[residue + 1] = start[residue] + residue_count(dim, residue) * rows_per_block;
    for (std::int64_t first = 0; first < rows_per_block; first += 4) {
        float* to = packed + first;
        for (std::int64_t d = 0; d < dim; d += 4, to += rows_per_block) {
            Four four[4];
            for (int r = 0; r < 4; ++r) {
                four[r] = load_four(wide + (first + r) * stride + d);
                if (factor != 1.0) four[r] = scale_four(four[r], factor);
            }
            transpose_four(four[0], four[1], four[2], four[3]);
            for (int residue = 0; residue < residues && d + residue < dim; ++residue)
                store_four(to + start[residue], four[residue]);
        }
    }
}

// One row of sums, times the factor, in the array's format; there is one NaN
static void write_gradient(float* sums, std::int64_t dim, double factor, Format format, char* row) {
    for (std::int64_t d = 0; d < dim; d += lanes) {
        const Vector sum = load(sums + d);
        store(sums + d, select(is_nan(sum), broadcast(__builtin_nanf("")), sum));
    }
    for (std::int64_t d = 0; d < dim; d += 4)
        write_four(row, d, smaller(dim - d, 4), scale_four(load_four(sums + d), factor), format);
}

}  // namespace
}  // namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE
