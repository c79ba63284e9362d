// What the arithmetic works on: a block of keys, and reading and writing the rows of a tile.
#pragma once

namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE {
namespace {

// Rows of floats in memory, `stride` floats apart; `next` is the block after, to be fetched meanwhile, or null.
struct Matrix {
    const float* data;
    std::int64_t stride, rows;
    const float* next;

    const float* row(std::int64_t i) const { return data + i * stride; }
};

// Fetches the next block in address order, a few lines between a few multiply-adds. In decode memory's speed decides:
// the hardware's prefetcher alone does not follow several rows at once, and a burst would leave memory idle after it.
class Prefetcher {
public:
    // The block's lines are spread evenly over this many steps
    Prefetcher(const Matrix& matrix, std::int64_t dim, std::int64_t steps)
        : row_(matrix.next), stride_(matrix.stride), dim_(dim), left_(matrix.next == nullptr ? 0 : matrix.rows),
          lines_per_step_((matrix.rows * ((dim + 15) / 16) + steps - 1) / steps) {}

    ATTNSCOPE_MEMBER void step() {
        for (std::int64_t i = 0; i < lines_per_step_ && left_ > 0; ++i) {
            prefetch(row_ + at_);
            at_ += 16;
            if (at_ >= dim_) {
                at_ = 0;
                row_ += stride_;
                --left_;
            }
        }
    }

private:
    const float* row_;
    std::int64_t stride_, dim_, left_, lines_per_step_, at_ = 0;
};

// The keys first ... first + key_count - 1, and which of them each row sees
struct Block {
    std::int64_t first, key_count;
    bool all_see_all;
    std::uint64_t seen[tile_rows];  // bit k: key first + k; not set where all see all

    bool shows(std::int64_t row, std::int64_t k) const { return (seen[row] >> k & 1) != 0; }
};

ATTNSCOPE_INLINE const char* query_row(const AttentionCall& call, const TileRows& rows, std::int64_t row) {
    return call.query.data + rows.batch * call.query.batch_stride + rows.head[row] * call.query.head_stride +
           rows.query[row] * call.query.token_stride;
}

// A tile's queries are read once, four rows by four elements: asked for together, they arrive together
static void prefetch_queries(const AttentionCall& call, const TileRows& rows) {
    for (std::int64_t row = 0; row < rows.count; ++row)
        for (std::int64_t byte = 0; byte < call.key_dim * item_bytes(call.format); byte += 64)
            prefetch(query_row(call, rows, row) + byte);
}

// Four elements of a query row, times factor; rows past the tile's are 0
ATTNSCOPE_INLINE Four read_query(const AttentionCall& call, const TileRows& rows, int row, std::int64_t d, double factor) {
    if (row >= rows.count) return broadcast_four(0.0f);
    return scale_four(read_four(query_row(call, rows, row), d, call.key_dim, call.format), factor);
}

// The bias of a row and four keys. A bias of -inf hides its key, as a mask would.
static inline Four read_bias(const AttentionCall& call, const TileRows& rows, std::int64_t row, Block& block,
                             std::int64_t key) {
    if (row >= rows.count) return broadcast_four(0.0f);
    const Bias& bias = call.bias;
    const char* at = bias.data + rows.batch * bias.batch_stride + rows.head[row] * bias.head_stride +
                     rows.query[row] * bias.query_stride + (block.first + key) * bias.key_stride;
    float terms[4] = {0.0f, 0.0f, 0.0f, 0.0f};
    for (std::int64_t k = 0; k < 4 && key + k < block.key_count; ++k)
        terms[k] = read_float(at + k * bias.key_stride, bias.format);
    const Four four = load_four(terms);
    if (any_equal_four(four, broadcast_four(-infinity)))
        for (std::int64_t k = 0; k < 4; ++k)
            if (terms[k] == -infinity) block.seen[row] &= ~(std::uint64_t{1} << (key + k));
    return four;
}

ATTNSCOPE_INLINE float query_position(const AttentionCall& call, const TileRows& rows, std::int64_t row) {
    return static_cast<float>(rows.query[row] + call.key_len - call.query_len);
}

ATTNSCOPE_INLINE char* output_row(const AttentionCall& call, const TileRows& rows, std::int64_t row) {
    return const_cast<char*>(call.output.data) + rows.batch * call.output.batch_stride +
           rows.head[row] * call.output.head_stride + rows.query[row] * call.output.token_stride;
}

// The first `count` of four elements, from `at` on
ATTNSCOPE_INLINE void write_four(char* row, std::int64_t at, std::int64_t count, Four four, Format format) {
    if (format == Format::float32 && count == 4) {
        store_four(reinterpret_cast<float*>(row) + at, four);
        return;
    }
    float elements[4];
    store_four(elements, four);
    for (std::int64_t i = 0; i < count; ++i) write_float(row + (at + i) * item_bytes(format), elements[i], format);
}

// Multiplies by 0 and adds: NaN exactly where something is not finite
static bool all_finite(const Matrix& values, std::int64_t dim) {
    Vector sum = zero();
    float tail = 0.0f;
    for (std::int64_t row = 0; row < values.rows; ++row) {
        std::int64_t d = 0;
        for (; d + lanes <= dim; d += lanes) sum = fma(load(values.row(row) + d), zero(), sum);
        for (; d < dim; ++d) tail += values.row(row)[d] * 0.0f;
    }
    return !any(is_nan(sum)) && tail == 0.0f;
}

}  // namespace
}  // namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE
