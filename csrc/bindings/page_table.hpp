// The page of each token: private copies of block_table and key_lens, checked.
#pragma once

#include <algorithm>
#include <vector>

#include "buffer.hpp"

namespace attnscope {

class PageTable {
public:
    PageTable(Array block_table, Array key_lens, const AttentionCall& call, std::int64_t pages,
              std::int64_t page_tokens)
        : page_tokens_(page_tokens) {
        if (page_tokens < 1) throw nb::value_error("key_pages: expected pages of at least one token");
        const Buffer table(block_table, "block_table", 2), lens(key_lens, "key_lens", 1);
        key_lens_ = lens.copy<std::int64_t>({call.batch});
        const std::int64_t columns = table.size(1);
        const std::int32_t* entries = table.contiguous<std::int32_t>({call.batch, columns});
        std::int64_t longest = 0;
        for (const std::int64_t key_len : key_lens_) {
            if (key_len < 0 || key_len > call.key_len || used_blocks(key_len) > columns)
                throw nb::value_error(
                    "key_lens: expected lengths within the plan's keys and the block table");
            longest = std::max(longest, key_len);
        }
        blocks_ = std::max<std::int64_t>(used_blocks(longest), 1);
        table_.resize(static_cast<std::size_t>(call.batch * blocks_));
        for (std::int64_t row = 0; row < call.batch; ++row) {
            // Entries past a row's keys are never read, and may be anything
            const std::int64_t used = used_blocks(key_lens_[static_cast<std::size_t>(row)]);
            std::int32_t* copied = table_.data() + row * blocks_;
            std::copy_n(entries + row * columns, used, copied);
            if (std::any_of(copied, copied + used,
                            [&](std::int32_t page) { return page < 0 || page >= pages; }))
                throw nb::value_error("block_table: expected entries within the pages");
        }
    }

    Pages pages() const {
        return {.table = table_.data(), .table_stride = blocks_, .page_tokens = page_tokens_};
    }
    const std::int64_t* key_lens() const { return key_lens_.data(); }

private:
    std::int64_t used_blocks(std::int64_t key_len) const {
        return key_len / page_tokens_ + (key_len % page_tokens_ != 0);
    }

    std::int64_t page_tokens_, blocks_ = 0;
    std::vector<std::int64_t> key_lens_;
    std::vector<std::int32_t> table_;  // [batch][blocks]
};

}  // namespace attnscope
