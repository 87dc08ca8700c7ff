// Hash buckets, and the bigram embedding: table lookup, projection, scale.
#include "tests/golden/kernel_case.h"
#include "tests/golden/kinds.h"

namespace golf::test {
namespace {

std::vector<int32_t> Buckets(const GoldenTensor& ids, uint32_t buckets, bool by_xor) {
  std::vector<int32_t> out(ids.size());
  const BigramHashDims dims{ids.shape()[0], ids.shape()[1], buckets,
                            by_xor ? BigramHash::kXorPrimes : BigramHash::kPolynomial};
  CaseKernels().bigram_hash(dims, ids.i32().data(), out.data());
  return out;
}

}  // namespace

void BigramGolden(const GoldenCase& c) {
  const bool by_xor = c.run().at("xor").get<bool>();
  for (const auto& count : c.run().at("hash_buckets")) {
    const auto buckets = count.get<uint32_t>();
    const std::string name = std::to_string(buckets);
    c.ExpectInts("hash_" + name, Buckets(c.Get("hash_tokens"), buckets, by_xor));
    c.ExpectInts("hash_wrap_" + name, Buckets(c.Get("hash_tokens_wrap"), buckets, by_xor));
  }

  const OpKernels<float>& op = CaseKernels().f32;
  const GoldenTensor table = c.Get("params/embed.weight"), projection = c.Get("params/proj.weight");
  const std::vector<int32_t> ids =
      Buckets(c.Get("ids"), static_cast<uint32_t>(table.shape()[0]), by_xor);
  const EmbeddingDims dims{ids.size(), table.shape()[1], table.shape()[0]};
  std::vector<float> rows(dims.N * dims.C);
  op.embedding_forward(dims, ids.data(), table.f32().data(), rows.data());
  const std::vector<float> projected = Linear(projection, rows);

  std::vector<float> out = projected, dy = c.Get("dout").f32();
  if (c.Has("params/scale")) {
    const ElementwiseDims scalar{ids.size(), projection.shape()[0], true};
    const std::vector<float> scale = c.Get("params/scale").f32(), dout = dy;
    std::vector<float> dscale(1);
    op.scale_forward(scalar, projected.data(), scale.data(), out.data());
    op.scale_backward(scalar, projected.data(), scale.data(), dout.data(), {dy.data()},
                      dscale.data());
    c.Expect("grads/scale", dscale);
  }
  c.Expect("out", out);
  const LinearGradients g = LinearBackward(projection, rows, dy);
  c.Expect("grads/proj.weight", g.dw);
  std::vector<float> dtable(table.size());
  op.embedding_backward(dims, ids.data(), g.dx.data(), dtable.data());
  c.Expect("grads/embed.weight", dtable);
}

}  // namespace golf::test
