#include "tests/golden/scoring_case.h"

#include "tests/support/golden_weights.h"
#include "tests/support/network_config.h"

namespace golf::test {
namespace {

TokenStream StreamOf(const GoldenCase& c) {
  const std::vector<int32_t> ids = c.Get("val_tokens").i32();
  return *TokenStream::FromTokens({ids.begin(), ids.end()}, c.config().at("vocab_size"));
}

ByteTable BytesOf(const GoldenCase& c) {
  const std::vector<int32_t> bytes = c.Get("lut/base_bytes").i32(),
                             space = c.Get("lut/has_leading_space").i32(),
                             boundary = c.Get("lut/is_boundary").i32();
  return {{bytes.begin(), bytes.end()},
          {space.begin(), space.end()},
          {boundary.begin(), boundary.end()}};
}

}  // namespace

Status ScoreRecorder::Scored(const ScoredWindow& scored) {
  const Window& w = scored.window;
  for (size_t value : {scored.chunk, w.start, size_t{w.first}, size_t{w.length}}) {
    windows.push_back(static_cast<int32_t>(value));
  }
  chunks.resize(scored.chunk + 1);
  for (size_t i = 0; i < w.count; ++i) {
    nll.push_back(scored.nll[i]);
    position.push_back(static_cast<int32_t>(w.first_target() + i + 1));
    bytes.push_back(static_cast<int32_t>(scored.bytes[i]));
    chunk_of.push_back(static_cast<int32_t>(scored.chunk));
    chunks.back().Add(scored.nll[i], scored.bytes[i]);
  }
  return {};
}

ScoringCase::ScoringCase(const GoldenCase& c)
    : window(c.run().at("seq_len")),
      program(BuildNetwork(
          NetworkConfigFromManifest(c.config(), static_cast<uint32_t>(window), c.run()))),
      weights(LoadGoldenWeights(c, "params/", *program)),
      stream(StreamOf(c)),
      byte_table(BytesOf(c)),
      kernels(*CpuKernels()) {}

}  // namespace golf::test
