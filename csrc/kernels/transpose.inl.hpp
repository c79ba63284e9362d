// Between rows in memory and rows in lanes, four rows by four elements at a time.
#pragma once

namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE {
namespace {

// A row's score is four partial sums over d mod 4, each in rising d, added left to right: an order that lanes
// along the dims (few rows) and lanes along the rows (many) can both keep.
constexpr int residues = 4;

// How many d < dim have this residue modulo 4
ATTNSCOPE_INLINE std::int64_t residue_count(std::int64_t dim, int residue) {
    return (dim + 3 - residue) / residues;
}

// packed[d][row] = factor * query[row][d], first all d of residue 0; lanes past the tile's rows are 0
template <int stride>
static void pack_rows_into_lanes(const AttentionCall& call, const TileRows& rows, double factor,
                                 float* packed) {
    std::int64_t start[residues + 1] = {};
    for (int residue = 0; residue < residues; ++residue)
        start[residue + 1] = start[residue] + residue_count(call.key_dim, residue) * stride;
    for (int first = 0; first < stride; first += 4) {
        float* to = packed + first;
        std::int64_t d = 0;
        Four four[4];
        if (call.format == Format::float32 && first + 4 <= rows.count) {
            const float* row[4];
            for (int r = 0; r < 4; ++r) row[r] = reinterpret_cast<const float*>(rows.query_row[first + r]);
            for (; d + 4 <= call.key_dim; d += 4, to += stride) {
                for (int r = 0; r < 4; ++r) four[r] = scale_four(load_four(row[r] + d), factor);
                transpose_four(four[0], four[1], four[2], four[3]);
                for (int residue = 0; residue < residues; ++residue)
                    store_four(to + start[residue], four[residue]);
            }
        }
        for (; d < call.key_dim; d += 4, to += stride) {
            for (int r = 0; r < 4; ++r) four[r] = read_query(call, rows, first + r, d, factor);
            transpose_four(four[0], four[1], four[2], four[3]);
            for (int residue = 0; residue < residues && d + residue < call.key_dim; ++residue)
                store_four(to + start[residue], four[residue]);
        }
    }
}

// output[row][d] = lanes_of[d][row]
template <int stride>
static void write_rows_from_lanes(const AttentionCall& call, const TileRows& rows, const float* lanes_of) {
    for (std::int64_t first = 0; first < rows.count; first += 4) {
        const float* from = lanes_of + first;
        std::int64_t d = 0;
        Four four[4];
        if (call.output_format == Format::float32 && first + 4 <= rows.count) {
            float* row[4];
            for (int r = 0; r < 4; ++r) row[r] = reinterpret_cast<float*>(rows.output_row[first + r]);
            for (; d + 4 <= call.value_dim; d += 4) {
                for (int i = 0; i < 4; ++i) four[i] = load_four(from + (d + i) * stride);
                transpose_four(four[0], four[1], four[2], four[3]);
                for (int r = 0; r < 4; ++r) store_four(row[r] + d, four[r]);
            }
        }
        for (; d < call.value_dim; d += 4) {
            const std::int64_t present = smaller(call.value_dim - d, 4);
            for (std::int64_t i = 0; i < 4; ++i)
                four[i] = i < present ? load_four(from + (d + i) * stride) : broadcast_four(0.0f);
            transpose_four(four[0], four[1], four[2], four[3]);
            for (std::int64_t r = 0; r < 4 && first + r < rows.count; ++r)
                write_four(rows.output_row[first + r], d, present, four[r], call.output_format);
        }
    }
}

}  // namespace
}  // namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE
