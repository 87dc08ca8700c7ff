// Operations on ids: embedding, bigram hash, gather.
#include "kernels/embedding.h"

#include "kernels/bigram_hash.h"
#include "kernels/gather_rows.h"
#include "tests/kernels/op_check.h"

namespace golf {
namespace {

struct EmbeddingOp {
  EmbeddingDims d;
  std::vector<size_t> activations{}, parameters{d.V * d.C};
  size_t outputs = d.N * d.C;
  std::vector<int32_t> ids = Ids();

  std::vector<int32_t> Ids() const {  // with repeats
    std::vector<int32_t> out(d.N);
    for (size_t n = 0; n < d.N; ++n) out[n] = static_cast<int32_t>((n * n * 7 + n) % d.V);
    return out;
  }
  template <class S>
  void RefForward(const Tensors<S>&, const Tensors<S>& w, S* y) const {
    ref::EmbeddingForward(d, ids.data(), w[0].data(), y);
  }
  template <class S>
  void RefBackward(const Tensors<S>&, const Tensors<S>&, const S* dy, Tensors<S>&,
                   Tensors<S>& dw) const {
    ref::EmbeddingBackward(d, ids.data(), dy, dw[0].data());
  }
  template <class T>
  void Forward(const OpKernels<T>& op, const Tensors<T>&, const Tensors<float>& w, T* y) const {
    op.embedding_forward(d, ids.data(), w[0].data(), y);
  }
  template <class T>
  void Backward(const OpKernels<T>& op, const Tensors<T>&, const Tensors<float>&, const T* dy,
                const std::vector<Grad<T>>&, const std::vector<float*>& dw) const {
    op.embedding_backward(d, ids.data(), dy, dw[0]);
  }
};

TEST(Embedding, DerivativeMatchesComplexSteps) { CheckDerivative(EmbeddingOp{{6, 3, 4}}); }

TEST(Embedding, KernelsMatchTheDefinition) {
  CheckKernels(EmbeddingOp{{9, 37, 5}});
  CheckKernels(EmbeddingOp{{200, 296, 50}});
}

TEST(BigramHash, GivesTheBucketsOfTheReference) {
  struct Pair {
    int32_t previous, current, by_xor, by_polynomial;
  };
  for (const Pair p : {Pair{5, 7, 1082, 956}, Pair{1, 1023, 752, 2032}, Pair{1023, 1, 310, 16},
                       Pair{512, 300, 664, 812}})
    for (const KernelTable* table : Tables()) {
      const int32_t ids[] = {p.previous, p.current};
      int32_t bucket[2];
      table->bigram_hash({1, 2, 2048, BigramHash::kXorPrimes}, ids, bucket);
      EXPECT_EQ(bucket[0], 2047);
      EXPECT_EQ(bucket[1], p.by_xor);
      table->bigram_hash({1, 2, 2048, BigramHash::kPolynomial}, ids, bucket);
      EXPECT_EQ(bucket[0], p.previous);
      EXPECT_EQ(bucket[1], p.by_polynomial);
    }
}

TEST(BigramHash, StartsAnewInEachWindow) {
  const int32_t ids[] = {3, 4, 3, 4};
  int32_t bucket[4];
  Tables()[0]->bigram_hash({2, 2, 128, BigramHash::kXorPrimes}, ids, bucket);
  EXPECT_EQ(bucket[0], bucket[2]);
  EXPECT_EQ(bucket[1], bucket[3]);
}

TEST(GatherRows, PicksRows) {
  const size_t n = 300, c = 77;
  const std::vector<float> src = To<float>(Randoms(50 * c, 1));
  std::vector<int32_t> row(n);
  for (size_t i = 0; i < n; ++i) row[i] = static_cast<int32_t>(i * 11 % 50);
  std::vector<float> want(n * c);
  ref::GatherRows(n, c, src.data(), row.data(), want.data());
  for (const KernelTable* table : Tables()) {
    std::vector<float> got(n * c);
    table->f32.gather_rows(n, c, src.data(), row.data(), got.data());
    EXPECT_EQ(got, want);
  }
}

}  // namespace
}  // namespace golf
