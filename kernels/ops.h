// The operations of schemas/program.fbs as kernels: dimensions and the table entries of one element type T.
// Each op's own header (kernels/rmsnorm.h, ...) holds its formula, its derivative and the `ref::` definition in plain
// loops; kernels/cpu/<op>.cpp holds the CPU kernel that fills the entry.
//
// Letters: N tokens (rows), C channels, B windows, T tokens per window, V vocabulary, H query heads, K key/value heads,
//          D head width, F hidden units, Q query rows per window.
// Rules:   activations and their gradients are T (float or bf16), row-major, densely packed, 64-byte aligned.
//          Parameters and their gradients are float. Arithmetic is float or wider.
//          Backward: dx is overwritten, or added to where `Into::kAdd`; a null dx is skipped. Gradients of parameters are
//          always added to (micro-batches add up); a null one is skipped. Buffers do not overlap.
//          A result depends neither on the number of threads nor, per token, on the other windows of the batch.
#pragma once
#include <cstddef>
#include <cstdint>

#include "kernels/base/bf16.h"

namespace golf {

enum class Into { kOverwrite, kAdd };

// Where a gradient of an activation goes; null data: nobody needs it.
template <class T>
struct Grad {
  T* data = nullptr;
  Into into = Into::kOverwrite;
};

enum class BigramHash : uint8_t { kXorPrimes, kPolynomial };

struct BigramHashDims {
  size_t B, T;
  uint32_t buckets;
  BigramHash hash;
};
struct RowDims {
  size_t N, C;
};
struct EmbeddingDims {
  size_t N, C, V;
};
struct RmsNormDims {
  size_t N, C;
  double scale, eps;
};
struct SmearDims {
  size_t B, T, C;
};
struct ElementwiseDims {
  size_t N, C;
  bool scalar;
};  // scalar: the parameter is one number, not C of them
struct GatedSkipDims {
  size_t N, C;
};
struct QkPrepareDims {
  size_t N, H, D, R;
  double eps;
};  // R rotary channels per head, even, <= D
struct AttentionDims {
  size_t B, Q, T, H, K, D;
};  // Q == T unless only some rows are wanted
struct XsaDims {
  size_t N, H, K, D;
};
struct HeadGateDims {
  size_t N, H, D;
};
struct SquaredReluDims {
  size_t N, F;
  double negative_slope;
};
struct CrossEntropyDims {
  size_t N, V;
  double softcap;
};

template <class T>
struct OpKernels {
  // ids (N) in [0, V); table (V, C); y (N, C). Backward scatters dy into dtable.
  void (*embedding_forward)(EmbeddingDims, const int32_t* ids, const float* table, T* y);
  void (*embedding_backward)(EmbeddingDims, const int32_t* ids, const T* dy, float* dtable);

  void (*rmsnorm_forward)(RmsNormDims, const T* x, T* y);
  void (*rmsnorm_backward)(RmsNormDims, const T* x, const T* dy, Grad<T> dx);

  void (*smear_forward)(SmearDims, const T* x, const float* gate, T* y);
  void (*smear_backward)(SmearDims, const T* x, const float* gate, const T* dy, Grad<T> dx,
                         float* dgate);

  void (*add_forward)(ElementwiseDims, const T* a, const T* b, T* y);
  void (*add_backward)(ElementwiseDims, const T* dy, Grad<T> da, Grad<T> db);

  void (*scale_forward)(ElementwiseDims, const T* x, const float* w, T* y);
  void (*scale_backward)(ElementwiseDims, const T* x, const float* w, const T* dy, Grad<T> dx,
                         float* dw);

  void (*scaled_add_forward)(ElementwiseDims, const T* a, const T* b, const float* w, T* y);
  void (*scaled_add_backward)(ElementwiseDims, const T* b, const float* w, const T* dy, Grad<T> da,
                              Grad<T> db, float* dw);

  // w: (2, C), or 2 scalars.
  void (*mix_forward)(ElementwiseDims, const T* a, const T* b, const float* w, T* y);
  void (*mix_backward)(ElementwiseDims, const T* a, const T* b, const float* w, const T* dy,
                       Grad<T> da, Grad<T> db, float* dw);

  void (*gated_skip_forward)(GatedSkipDims, const T* x, const T* skip, const float* w,
                             const float* gate, T* y);
  void (*gated_skip_backward)(GatedSkipDims, const T* x, const T* skip, const float* w,
                              const float* gate, const T* dy, Grad<T> dx, Grad<T> dskip, float* dw,
                              float* dgate);

  // gain (H) or null; cos, sin (T, R/2) by position; position (N) of each row within its window.
  void (*qk_prepare_forward)(QkPrepareDims, const T* x, const float* gain, const float* cos,
                             const float* sin, const int32_t* position, T* y);
  void (*qk_prepare_backward)(QkPrepareDims, const T* x, const float* gain, const float* cos,
                              const float* sin, const int32_t* position, const T* dy, Grad<T> dx,
                              float* dgain);

  // q (B, Q, H, D), k and v (B, T, K, D), y like q. first_row (B): position of a window's first query row; the Q rows
  // follow it. lse (B, Q, H), the log-sum-exp of the scaled scores, may be null. Never holds a T x T matrix.
  void (*attention_forward)(AttentionDims, const T* q, const T* k, const T* v,
                            const uint32_t* first_row, T* y, float* lse);
  // Q == T. scratch: attention_backward_scratch(dims) bytes, 64-byte aligned.
  size_t (*attention_backward_scratch)(AttentionDims);
  void (*attention_backward)(AttentionDims, const T* q, const T* k, const T* v, const T* y,
                             const float* lse, const T* dy, Grad<T> dq, Grad<T> dk, Grad<T> dv,
                             void* scratch);

  void (*xsa_forward)(XsaDims, const T* y, const T* v, T* out);
  void (*xsa_backward)(XsaDims, const T* y, const T* v, const T* dout, Grad<T> dy, Grad<T> dv);

  // scale, bias (F), both or neither.
  void (*squared_relu_forward)(SquaredReluDims, const T* x, const float* scale, const float* bias,
                               T* y);
  void (*squared_relu_backward)(SquaredReluDims, const T* x, const float* scale, const T* dy,
                                Grad<T> dx, float* dscale, float* dbias);

  // b (C); its gradient db += sum dy. The gradient of x is dy.
  void (*bias_forward)(RowDims, const T* x, const float* b, T* y);
  void (*bias_backward)(RowDims, const T* dy, Grad<T> dx, float* db);

  // x, y (N, H, D); z (N, H).
  void (*head_gate_forward)(HeadGateDims, const T* x, const T* z, T* y);
  void (*head_gate_backward)(HeadGateDims, const T* x, const T* z, const T* dy, Grad<T> dx,
                             Grad<T> dz);

  void (*gelu_forward)(RowDims, const T* x, T* y);
  void (*gelu_backward)(RowDims, const T* x, const T* dy, Grad<T> dx);

  // gate: one number.
  void (*gated_add_forward)(RowDims, const T* a, const T* b, const float* gate, T* y);
  void (*gated_add_backward)(RowDims, const T* b, const float* gate, const T* dy, Grad<T> da,
                             Grad<T> db, float* dgate);

  // z (N, V) in float; target (N) in [0, V); nll (N) in nats. lse (N): log-sum-exp of the capped logits, may be null.
  void (*cross_entropy_forward)(CrossEntropyDims, const float* z, const int32_t* target, float* nll,
                                float* lse);
  // dnll: the same upstream gradient for every row.
  void (*cross_entropy_backward)(CrossEntropyDims, const float* z, const int32_t* target,
                                 const float* lse, float dnll, T* dz);

  // dst[n] = src[row[n]], rows of C.
  void (*gather_rows)(size_t n, size_t c, const T* src, const int32_t* row, T* dst);
};

}  // namespace golf
