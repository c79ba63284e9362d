// Prints a digest of many small attention problems for each level that runs here. Built for two machines (or
// run under an emulator), the lines must be equal: that is how NEON is held to the bits of AVX2 and AVX-512.
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>
#include <vector>

#include "../dispatch.hpp"
#include "../run_gradients.hpp"

namespace {

using namespace attnscope;

struct Random {
    std::uint64_t state = 0x9e3779b97f4a7c15u;
    std::uint64_t next() {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        return state;
    }
    // in (-2, 2), exact in every format
    float number() { return static_cast<float>(static_cast<int>(next() % 513) - 256) / 128.0f; }
};

void put(std::vector<char>& bytes, float number, Format format) {
    if (format == Format::float32) {
        const char* p = reinterpret_cast<const char*>(&number);
        bytes.insert(bytes.end(), p, p + 4);
        return;
    }
    std::uint32_t bits;
    std::memcpy(&bits, &number, 4);
    std::uint16_t half = static_cast<std::uint16_t>(bits >> 16);
    if (format == Format::float16 && number != 0.0f)
        half = static_cast<std::uint16_t>((bits >> 16 & 0x8000u) | (((bits >> 23 & 255u) - 112u) << 10) |
                                          (bits >> 13 & 1023u));
    const char* p = reinterpret_cast<const char*>(&half);
    bytes.insert(bytes.end(), p, p + 2);
}

std::vector<char> array(Random& random, std::int64_t count, Format format) {
    std::vector<char> bytes;
    for (std::int64_t i = 0; i < count; ++i) put(bytes, random.number(), format);
    return bytes;
}

template <typename Byte>
StridedArray<Byte> view(Byte* bytes, std::int64_t heads, std::int64_t tokens, std::int64_t dim,
                        std::int64_t item) {
    return {bytes, heads * tokens * dim * item, tokens * dim * item, dim * item};
}

std::uint64_t digest(std::uint64_t so_far, const void* data, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i)
        so_far = (so_far ^ static_cast<const unsigned char*>(data)[i]) * 1099511628211u;
    return so_far;
}

// The gradients of a call whose output and logsumexp have been computed; every other one with the gradients of its bias
std::uint64_t digest_gradients(const KernelTable& table, const AttentionCall& call, Random& random,
                               int number, std::uint64_t sum) {
    const std::int64_t item = call.format == Format::float32 ? 4 : 2;
    const std::int64_t rows = call.batch * call.query_heads * call.query_len;
    const std::int64_t keys = call.batch * call.kv_heads * call.key_len;
    const auto grad = array(random, rows * call.value_dim, call.format);
    std::vector<char> grad_query(static_cast<std::size_t>(rows * call.key_dim * item));
    std::vector<char> grad_key(static_cast<std::size_t>(keys * call.key_dim * item));
    std::vector<char> grad_value(static_cast<std::size_t>(keys * call.value_dim * item));
    std::vector<float> mean(static_cast<std::size_t>(rows)),
        grad_bias(static_cast<std::size_t>(rows * call.key_len));
    std::vector<float> query_sums(static_cast<std::size_t>(rows / call.batch * call.key_dim));
    GradientCall backward = {};
    backward.attention = call;
    backward.output = {call.output.data, call.output.batch_stride, call.output.head_stride,
                       call.output.token_stride};
    backward.logsumexp = call.logsumexp;
    backward.grad_output = view(grad.data(), call.query_heads, call.query_len, call.value_dim, item);
    backward.grad_query = view(grad_query.data(), call.query_heads, call.query_len, call.key_dim, item);
    backward.grad_key = view(grad_key.data(), call.kv_heads, call.key_len, call.key_dim, item);
    backward.grad_value = view(grad_value.data(), call.kv_heads, call.key_len, call.value_dim, item);
    backward.mean = mean.data();
    backward.heads_at_once = 1;
    if (call.format != Format::float32) backward.query_sums = query_sums.data();
    if (call.bias.data != nullptr && number % 4 == 2) backward.grad_bias = grad_bias.data();
    run_gradients(table, backward, 1, {});
    for (const std::vector<char>* array : {&grad_query, &grad_key, &grad_value})
        sum = digest(sum, array->data(), array->size());
    return digest(sum, grad_bias.data(), grad_bias.size() * sizeof(float));
}

void run_case(const KernelTable& table, int number, std::uint64_t& sum) {
    Random random;
    random.state += static_cast<std::uint64_t>(number) * 7919u;
    for (int i = 0; i < 8; ++i) random.next();
    AttentionCall call = {};
    call.batch = 1 + random.next() % 2;
    call.kv_heads = 1 + random.next() % 2;
    call.query_heads = call.kv_heads * (1 + random.next() % 5);
    call.query_len = 1 + random.next() % (number % 3 == 0 ? 3 : 70);
    call.key_len = number % 10 == 9 ? 8192 + random.next() % 200 : 1 + random.next() % 150;
    call.key_dim = 1 + random.next() % 40;
    call.value_dim = 1 + random.next() % 40;
    call.format = static_cast<Format>(number % 3);
    call.key_value_format = call.output_format = call.format;
    const std::int64_t item = call.format == Format::float32 ? 4 : 2;
    const auto query =
        array(random, call.batch * call.query_heads * call.query_len * call.key_dim, call.format);
    const auto key = array(random, call.batch * call.kv_heads * call.key_len * call.key_dim, call.format);
    const auto value = array(random, call.batch * call.kv_heads * call.key_len * call.value_dim, call.format);
    std::vector<char> output(
        static_cast<std::size_t>(call.batch * call.query_heads * call.query_len * call.value_dim * item));
    std::vector<float> normalizer(static_cast<std::size_t>(call.batch * call.query_heads * call.query_len));
    call.query = view(query.data(), call.query_heads, call.query_len, call.key_dim, item);
    call.key = view(key.data(), call.kv_heads, call.key_len, call.key_dim, item);
    call.value = view(value.data(), call.kv_heads, call.key_len, call.value_dim, item);
    call.output = view(output.data(), call.query_heads, call.query_len, call.value_dim, item);
    call.logsumexp = normalizer.data();
    call.scale = 0.37;
    call.has_softcap = number % 4 == 1;
    call.softcap = 3.0;

    std::vector<std::int32_t> first, end;
    for (std::int64_t i = 0; i < call.query_len; ++i) {
        const std::int64_t position = i + call.key_len - call.query_len;
        const std::int64_t last = position + 1 < 0 ? 0 : position + 1;
        first.push_back(static_cast<std::int32_t>(last > 90 && number % 2 ? last - 90 : 0));
        end.push_back(static_cast<std::int32_t>(last));
    }
    if (number % 5 != 0) call.visibility = {first.data(), end.data(), 1, 0, nullptr, 0, 0, 0};
    const auto bias = array(random, call.query_len * call.key_len, Format::float32);
    if (number % 4 == 2) call.bias = {bias.data(), Format::float32, 0, 0, call.key_len * 4, 4};
    std::vector<float> slopes, sinks;
    for (std::int64_t h = 0; h < call.query_heads; ++h)
        slopes.push_back(0.01f * static_cast<float>(h)), sinks.push_back(random.number());
    if (number % 4 == 3) call.slopes = slopes.data();
    if (number % 7 == 3) call.sinks = sinks.data();

    // Every other case is observed
    const std::size_t rows = normalizer.size(),
                      pairs = static_cast<std::size_t>(call.batch * call.query_heads);
    const std::size_t keys = static_cast<std::size_t>(call.key_len);
    std::vector<std::uint8_t> labels(keys);
    for (std::size_t j = 0; j < keys; ++j)
        labels[j] = static_cast<std::uint8_t>(number % 4 == 0 ? j % 5 : j * 5 / keys);
    std::vector<float> of_rows(rows * (5 + 5 + 3 + 2)), of_keys(pairs * keys), map(pairs * 7);
    std::vector<std::int32_t> found(rows * (2 + 3));
    Statistics& wanted = call.statistics;
    if (number % 2 == 0) {
        float* to = of_rows.data();
        const auto take = [&](std::size_t each) { return std::exchange(to, to + rows * each); };
        wanted.labels = labels.data(), wanted.segments = 5, wanted.first_keys = 4, wanted.top_keys = 3;
        wanted.entropy = take(1), wanted.max_weight = take(1), wanted.first_mass = take(1),
        wanted.mean_distance = take(1), wanted.sink_mass = take(1);
        wanted.segment_mass = take(5), wanted.top_weight = take(3), wanted.largest = take(1),
        wanted.share = take(1);
        wanted.max_key = found.data(), wanted.visible_keys = found.data() + rows,
        wanted.top_key = found.data() + 2 * rows;
        wanted.received = of_keys.data(), wanted.map = map.data(), wanted.map_rows = 1,
        wanted.map_columns = call.key_len < 7 ? 1 : 7;
    }

    std::int64_t bytes = table.count_workspace_bytes(call);
    if (wanted.wanted() && bytes < table.count_survey_workspace_bytes(call))
        bytes = table.count_survey_workspace_bytes(call);
    void* workspace = std::aligned_alloc(64, static_cast<std::size_t>((bytes + 63) / 64 * 64 + 64));
    for (std::int64_t tile = 0; tile < table.count_tiles(call);)
        tile = table.run_some_tiles(call, tile, table.count_tiles(call), workspace);
    for (std::int64_t task = 0; wanted.wanted() && task < table.count_survey_tasks(call); ++task)
        table.run_survey(call, task, workspace);
    std::free(workspace);
    sum = digest(digest(sum, output.data(), output.size()), normalizer.data(),
                 normalizer.size() * sizeof(float));
    for (const std::vector<float>* array : {&of_rows, &of_keys, &map})
        sum = digest(sum, array->data(), array->size() * sizeof(float));
    sum = digest(sum, found.data(), found.size() * sizeof(std::int32_t));
    if (number % 10 != 9) sum = digest_gradients(table, call, random, number, sum);
}

}  // namespace

int main() {
    for (const attnscope::KernelTable* table : attnscope::usable_levels()) {
        std::uint64_t sum = 14695981039346656037u;
        for (int number = 0; number < 200; ++number) run_case(*table, number, sum);
        std::printf("%016" PRIx64 " %s\n", sum, table->level);
    }
}
