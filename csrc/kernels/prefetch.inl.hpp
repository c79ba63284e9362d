// Fetching rows of memory into the cache before they are needed.
#pragma once

namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE {
namespace {

constexpr std::int64_t line_bytes = 64;

// Rows that are needed soon, fetched into the second cache a few lines at a time between multiply-adds.
//
// why    a load from memory stalls the multiply-adds, a burst of prefetches does so too, and the hardware's
//        own prefetcher does not follow several rows at once
// order  row by row, each in address order
struct Prefetch {
    const char* line = nullptr;  // the next line to fetch, of the row that ends at row_end
    const char* row_end = nullptr;
    std::int64_t row_bytes = 0;
    std::int64_t gap = 0;                 // from the end of a row to the next row, if `listed` is null
    const char* const* listed = nullptr;  // the addresses of the rows that follow
    std::int64_t rows_left = 0;           // after the row at hand
    std::int64_t lines_per_step = 0;

    Prefetch() = default;  // fetches nothing
    // Rows at one stride, at least one. Rows without a gap are one long row.
    Prefetch(const char* first, std::int64_t bytes, std::int64_t stride, std::int64_t rows)
        : line(first), row_bytes(stride == bytes ? rows * bytes : bytes), gap(stride - bytes) {
        row_end = first + row_bytes;
        rows_left = stride == bytes ? 0 : rows - 1;
    }
    // Rows anywhere, at least one; the list must outlive the prefetch
    Prefetch(const char* const* rows, std::int64_t bytes, std::int64_t count)
        : line(rows[0]), row_end(rows[0] + bytes), row_bytes(bytes), listed(rows + 1), rows_left(count - 1) {}

    // From now on the lines are spread evenly over this many steps
    void spread_over(std::int64_t steps) {
        const std::int64_t lines = (rows_left + 1) * ((row_bytes + line_bytes - 1) / line_bytes);
        lines_per_step = row_bytes == 0 || steps == 0 ? 0 : (lines + steps - 1) / steps;
    }
    void step_by_row() { lines_per_step = (row_bytes + line_bytes - 1) / line_bytes; }

    // Ends after the last row
    ATTNSCOPE_MEMBER void step() {
        for (std::int64_t i = 0; i < lines_per_step; ++i) {
            if (line >= row_end && !next_row()) return;
            prefetch(line);
            line += line_bytes;
        }
    }
    // A line of rows at one stride. Has no end, because a micro-kernel has no register to count with: rows
    // past the last one are fetched in vain.
    ATTNSCOPE_MEMBER void fetch_line() {
        prefetch(line);
        line += line_bytes;
        if (line < row_end) return;
        line = row_end + gap;
        row_end = line + row_bytes;
    }

private:
    bool next_row() {
        if (rows_left == 0) {
            lines_per_step = 0;
            return false;
        }
        --rows_left;
        line = listed == nullptr ? row_end + gap : *listed++;
        row_end = line + row_bytes;
        return true;
    }
};

}  // namespace
}  // namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE
