// Value embedding: table lookup, projection, one scale.
#include "tests/golden/kernel_case.h"
#include "tests/golden/kinds.h"

namespace golf::test {

void ValueEmbeddingGolden(const GoldenCase& c) {
  const OpKernels<float>& op = CaseKernels().f32;
  const GoldenTensor table = c.Get("params/embed.weight"), projection = c.Get("params/proj.weight");
  const std::vector<int32_t> ids = c.Get("ids").i32();
  const std::vector<float> scale = c.Get("params/scale").f32(), dout = c.Get("dout").f32();
  const EmbeddingDims dims{ids.size(), table.shape()[1], table.shape()[0]};
  const ElementwiseDims scalar{ids.size(), projection.shape()[0], true};

  std::vector<float> rows(dims.N * dims.C);
  op.embedding_forward(dims, ids.data(), table.f32().data(), rows.data());
  const std::vector<float> projected = Linear(projection, rows);
  std::vector<float> out(projected.size());
  op.scale_forward(scalar, projected.data(), scale.data(), out.data());
  c.Expect("out", out);

  std::vector<float> dprojected(projected.size()), dscale(1), dtable(table.size());
  op.scale_backward(scalar, projected.data(), scale.data(), dout.data(), {dprojected.data()},
                    dscale.data());
  c.Expect("grads/scale", dscale);
  const LinearGradients g = LinearBackward(projection, rows, dprojected);
  c.Expect("grads/proj.weight", g.dw);
  op.embedding_backward(dims, ids.data(), g.dx.data(), dtable.data());
  c.Expect("grads/embed.weight", dtable);
}

}  // namespace golf::test
