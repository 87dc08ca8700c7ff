// A whole attention layer through the kernel table: projections, value embedding or residual, q/k preparation,
// attention, XSA, gate per head.
#include <gtest/gtest.h>
#include <hwy/aligned_allocator.h>

#include "kernels/rope.h"
#include "kernels/table.h"
#include "tests/golden/kinds.h"

namespace golf::test {
namespace {

using Floats = std::vector<float>;

constexpr double kRmsEps = 1.1920929e-07;

// What the layer computes with, from the manifest.
struct Layer {
  size_t tokens, dim;  // tokens: all windows
  AttentionDims attention;
  QkPrepareDims q_dims, k_dims;
  XsaDims xsa_dims;
  bool xsa;
  RopeTables rope;
  std::vector<int32_t> position;
};

Layer MakeLayer(const GoldenCase& c) {
  const auto& run = c.run();
  const auto shape = c.Get("x").shape();
  const size_t windows = shape.at(0), length = shape.at(1), dim = shape.at(2);
  const size_t heads = run.at("heads"), kv_heads = run.at("kv_heads"), width = dim / heads;
  const uint32_t rope_dims = run.at("rope_dims");
  Layer layer;
  layer.tokens = windows * length;
  layer.dim = dim;
  layer.attention = {windows, length, length, heads, kv_heads, width};
  layer.q_dims = {layer.tokens, heads, width, rope_dims, kRmsEps};
  layer.k_dims = {layer.tokens, kv_heads, width, rope_dims, kRmsEps};
  layer.xsa_dims = {layer.tokens, heads, kv_heads, width};
  layer.xsa = run.at("xsa");
  layer.rope =
      MakeRopeTables(length, {rope_dims, run.at("rope_base"), run.at("train_seq_len"), false});
  for (size_t n = 0; n < layer.tokens; ++n) {
    layer.position.push_back(static_cast<int32_t>(n % length));
  }
  return layer;
}

// y = x w^T, with x (rows, in) and w (out, in).
Floats Project(const KernelTable& table, size_t rows, size_t out, size_t in, const Floats& x,
               const Floats& w) {
  Floats y(rows * out);
  WholeProduct(table.make_gemm({rows, out, in, false, true})).Run(x.data(), w.data(), y.data());
  return y;
}

// dx += dy w; returns dw = dy^T x.
Floats ProjectBackward(const KernelTable& table, size_t rows, size_t out, size_t in,
                       const Floats& x, const Floats& w, const Floats& dy, Floats& dx) {
  GemmShape to_x{rows, in, out};
  to_x.add = true;
  WholeProduct(table.make_gemm(to_x)).Run(dy.data(), w.data(), dx.data());
  Floats dw(out * in);
  WholeProduct(table.make_gemm({out, in, rows, true, false})).Run(dy.data(), x.data(), dw.data());
  return dw;
}

}  // namespace

void AttentionGolden(const GoldenCase& c) {
  const auto found = KernelsFor("cpu");
  ASSERT_TRUE(found.ok());
  const KernelTable& table = **found;
  const OpKernels<float>& ops = table.f32;
  const Layer layer = MakeLayer(c);
  const AttentionDims& d = layer.attention;
  const size_t n = layer.tokens, dim = layer.dim, kv_dim = d.K * d.D;
  const float *cos = layer.rope.cos.data(), *sin = layer.rope.sin.data();

  const Floats x = c.Get("x").f32(), gain = c.Get("params/q_gain").f32();
  const Floats w_q = c.Get("params/c_q.weight").f32(), w_k = c.Get("params/c_k.weight").f32();
  const Floats w_v = c.Get("params/c_v.weight").f32(), w_out = c.Get("params/proj.weight").f32();
  const Floats raw_q = Project(table, n, dim, dim, x, w_q);
  const Floats raw_k = Project(table, n, kv_dim, dim, x, w_k);
  Floats v = Project(table, n, kv_dim, dim, x, w_v);
  if (c.Has("v_embed")) {
    const Floats projected = v, embedded = c.Get("v_embed").f32();
    ops.add_forward({n, kv_dim, false}, projected.data(), embedded.data(), v.data());
  }
  const bool residual = c.Has("v0"), gated = c.Has("params/attn_gate.weight");
  const ElementwiseDims one_weight{n, kv_dim, true};
  Floats v0, lambda;
  const Floats raw_v = v;
  if (c.Has("raw_v")) c.Expect("raw_v", raw_v);
  if (residual) {
    v0 = c.Get("v0").f32(), lambda = c.Get("params/vr_lambda").f32();
    ops.mix_forward(one_weight, v0.data(), raw_v.data(), lambda.data(), v.data());
  }
  Floats q(n * dim), k(n * kv_dim), y(n * dim), lse(n * d.H);
  ops.qk_prepare_forward(layer.q_dims, raw_q.data(), gain.data(), cos, sin, layer.position.data(),
                         q.data());
  ops.qk_prepare_forward(layer.k_dims, raw_k.data(), nullptr, cos, sin, layer.position.data(),
                         k.data());
  ops.attention_forward(d, q.data(), k.data(), v.data(), nullptr, y.data(), lse.data());
  Floats mixed = y;
  if (layer.xsa) ops.xsa_forward(layer.xsa_dims, y.data(), v.data(), mixed.data());
  const Floats before_gate = mixed;
  const RowDims gate_rows{n, d.H};
  const HeadGateDims gate_dims{n, d.H, d.D};
  Floats gate(n * d.H), w_gate;
  if (gated) {
    w_gate = c.Get("params/attn_gate.weight").f32();
    const Floats z = Project(table, n, d.H, dim, x, w_gate);
    ops.bias_forward(gate_rows, z.data(), c.Get("params/attn_gate.bias").f32().data(), gate.data());
    ops.head_gate_forward(gate_dims, before_gate.data(), gate.data(), mixed.data());
  }
  c.Expect("out", Project(table, n, dim, dim, mixed, w_out));

  const Floats dout = c.Get("dout").f32();
  Floats dmixed(n * dim, 0.0F), dy(n * dim), dv(n * kv_dim, 0.0F);
  c.Expect("grads/proj.weight", ProjectBackward(table, n, dim, dim, mixed, w_out, dout, dmixed));
  Floats dx(n * dim, 0.0F);
  if (gated) {
    const Floats dout_of_gate = dmixed;
    Floats dgate(n * d.H), dbias(d.H, 0.0F);
    ops.head_gate_backward(gate_dims, before_gate.data(), gate.data(), dout_of_gate.data(),
                           {dmixed.data()}, {dgate.data()});
    ops.bias_backward(gate_rows, dgate.data(), {}, dbias.data());
    c.Expect("grads/attn_gate.bias", dbias);
    c.Expect("grads/attn_gate.weight", ProjectBackward(table, n, d.H, dim, x, w_gate, dgate, dx));
  }
  if (layer.xsa) {
    ops.xsa_backward(layer.xsa_dims, y.data(), v.data(), dmixed.data(), {dy.data()},
                     {dv.data(), Into::kAdd});
  } else {
    dy = dmixed;
  }
  Floats dq(n * dim), dk(n * kv_dim), draw_q(n * dim), draw_k(n * kv_dim), dgain(d.H, 0.0F);
  const auto scratch =
      hwy::AllocateAligned<std::byte>(std::max<size_t>(1, ops.attention_backward_scratch(d)));
  ops.attention_backward(d, q.data(), k.data(), v.data(), y.data(), lse.data(), dy.data(),
                         {dq.data()}, {dk.data()}, {dv.data(), Into::kAdd}, scratch.get());
  ops.qk_prepare_backward(layer.q_dims, raw_q.data(), gain.data(), cos, sin, layer.position.data(),
                          dq.data(), {draw_q.data()}, dgain.data());
  ops.qk_prepare_backward(layer.k_dims, raw_k.data(), nullptr, cos, sin, layer.position.data(),
                          dk.data(), {draw_k.data()}, nullptr);
  if (residual) {
    const Floats dmix = dv;
    Floats dv0(n * kv_dim), dlambda(2, 0.0F);
    ops.mix_backward(one_weight, v0.data(), raw_v.data(), lambda.data(), dmix.data(), {dv0.data()},
                     {dv.data()}, dlambda.data());
    c.Expect("grad_v0", dv0);
    c.Expect("grads/vr_lambda", dlambda);
  }
  c.Expect("grads/q_gain", dgain);
  c.Expect("grads/c_q.weight", ProjectBackward(table, n, dim, dim, x, w_q, draw_q, dx));
  c.Expect("grads/c_k.weight", ProjectBackward(table, n, kv_dim, dim, x, w_k, draw_k, dx));
  c.Expect("grads/c_v.weight", ProjectBackward(table, n, kv_dim, dim, x, w_v, dv, dx));
  c.Expect("grad_x", dx);
  if (c.Has("v_embed")) c.Expect("grad_v_embed", dv);
}

}  // namespace golf::test
