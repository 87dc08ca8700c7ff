// Forms: 0 a whole file; 1 tokens behind a header that fits, but for one word at most. The shard is read by itself and as the
// text of a network with a small vocabulary.
#include "artifact/token_shard.h"
#include "kernels/base/check.h"
#include "runtime/token_stream.h"
#include "tests/fuzz/fuzz_targets.h"
#include "tests/fuzz/input_reader.h"
#include "tests/fuzz/memory_file.h"

namespace golf::test {
namespace {

constexpr size_t kHeaderBytes = 1024;

std::vector<uint8_t> WithHeader(InputReader& in) {
  int32_t header[kHeaderBytes / sizeof(int32_t)] = {20240520, 1, 0};
  const bool damaged = in.Rarely();
  const uint32_t word = in.Byte();
  const auto wrong = damaged ? in.Value<int32_t>() : 0;
  const std::vector<uint8_t> tokens = in.Rest();
  header[2] = static_cast<int32_t>(tokens.size() / 2);
  if (damaged) header[word] = wrong;
  std::vector<uint8_t> file(sizeof(header));
  std::memcpy(file.data(), header, sizeof(header));
  file.insert(file.end(), tokens.begin(), tokens.end());
  return file;
}

}  // namespace

void FuzzShard(std::span<const uint8_t> input) {
  InputReader in(input);
  const bool whole = in.Below(2) == 0;
  const uint32_t vocab_size = 1 + in.Value<uint16_t>();
  const size_t limit = in.Byte();
  const std::vector<uint8_t> file = whole ? in.Rest() : WithHeader(in);

  static const MemoryFile memory;
  memory.Set(file);
  const std::string paths[] = {memory.path()};
  size_t tokens = 0;
  {
    const auto shard = TokenShard::Open(paths[0]);
    if (shard.ok()) {
      tokens = shard->tokens().size();
      GOLF_CHECK(kHeaderBytes + 2 * tokens == file.size());
      if (tokens > 0) GOLF_CHECK((shard->tokens().back() & 0xff) == file[file.size() - 2]);
    }
  }
  auto stream = TokenStream::Open(paths, vocab_size, limit);
  if (!stream.ok()) return;
  GOLF_CHECK(stream->targets() + 1 == (limit == 0 ? tokens : std::min(limit, tokens)));
  for (const uint16_t id : stream->tokens()) GOLF_CHECK(id < vocab_size);
  if (stream->CutToWholeWindows(16).ok()) GOLF_CHECK(stream->targets() % 16 == 0);
}

}  // namespace golf::test
