// Which page each token lies in: private copies of block_table and key_lens, checked.
#pragma once

#include <vector>

#include "buffer.hpp"

namespace attnscope {

class PageTable {
public:
    PageTable(nb::handle block_table, nb::handle key_lens, const AttentionCall& call, std::int64_t pages, std::int64_t page_tokens)
        : page_tokens_(page_tokens) {
        const Buffer table(block_table, "block_table", 2, false), lens(key_lens, "key_lens", 1, false);
        key_lens_ = lens.copy<std::int64_t>({call.batch});
        table.expect({call.batch, table.size(1)}, sizeof(std::int32_t));
        table.expect_contiguous();
        if (page_tokens < 1) throw nb::value_error("pages hold no tokens");
        std::int64_t longest = 0;
        for (const std::int64_t key_len : key_lens_) {
            if (key_len < 0 || key_len > call.key_len || key_len > table.size(1) * page_tokens)
                throw nb::value_error("key_lens reach beyond the block table");
            longest = std::max(longest, key_len);
        }
        blocks_ = std::max<std::int64_t>((longest + page_tokens - 1) / page_tokens, 1);
        pages_.resize(static_cast<std::size_t>(call.batch * blocks_));
        for (std::int64_t row = 0; row < call.batch; ++row) {
            const std::int32_t* from = table.data<const std::int32_t>() + row * table.size(1);
            std::int32_t* to = pages_.data() + row * blocks_;
            // What lies past a row's keys is never read, and may be anything
            const std::int64_t used = (key_lens_[static_cast<std::size_t>(row)] + page_tokens - 1) / page_tokens;
            std::copy(from, from + used, to);
            for (std::int64_t block = 0; block < used; ++block)
                if (to[block] < 0 || to[block] >= pages) throw nb::value_error("block_table points outside the pages");
        }
    }

    Pages pages() const { return {pages_.data(), blocks_, page_tokens_}; }
    const std::int64_t* key_lens() const { return key_lens_.data(); }

private:
    std::int64_t page_tokens_, blocks_;
    std::vector<std::int64_t> key_lens_;
    std::vector<std::int32_t> pages_;  // [batch][blocks]
};

}  // namespace attnscope
