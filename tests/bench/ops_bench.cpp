// Everything that is not a product: rows of 512 channels, two windows of 2,048 tokens. Bytes are those of the
// activations read and written; parameters are small. Gradients overwrite.
#include <numeric>

#include "kernels/rope.h"
#include "tests/bench/bench.h"

namespace golf::bench {
namespace {

constexpr size_t kWindows = 2, kTokens = 2048, kRows = kWindows * kTokens;
constexpr size_t kChannels = 512, kHidden = 1536, kVocabulary = 1024;
constexpr size_t kHeads = 8, kKvHeads = 4, kWidth = 64, kRotary = 16;

std::vector<int32_t> Ids(size_t n, size_t below) {
  std::minstd_rand random(5);
  std::vector<int32_t> ids(n);
  for (int32_t& id : ids) id = static_cast<int32_t>(random() % below);
  return ids;
}

// Buffers of the largest size that any row needs, shared by all rows of one element type.
template <class T>
struct Buffers {
  std::vector<T> a = Normal<T>(kRows * kHidden), b = Normal<T>(kRows * kHidden);
  std::vector<T> dy = Normal<T>(kRows * kHidden);
  std::vector<T> y = a, z = a;
  std::vector<float> w = Normal<float>(2 * kHidden), dw = w, dgate = w;
  std::vector<float> table = Normal<float>(kVocabulary * kChannels), dtable = table;
};

template <class T>
class OpRows {
 public:
  explicit OpRows(const Bench& bench) : bench_(bench), ops_(bench.table().ops<T>()) {}

  void All() {
    Embedding();
    Norms();
    Sums();
    Heads();
    Hidden();
    Loss();
  }

 private:
  // `tensors`: how many activations of `elements` elements the call reads and writes.
  void Row(const char* name, double tensors, size_t elements, const std::function<void()>& call) {
    bench_.Row(name, ElementOf<T>(), {0.0, tensors * static_cast<double>(elements * sizeof(T))},
               call);
  }

  void Embedding() {
    const EmbeddingDims d{kRows, kChannels, kVocabulary};
    const auto ids = Ids(kRows, kVocabulary);
    // The table is float whatever T is; it is read or added to once per token.
    const double rows = 1.0 + static_cast<double>(sizeof(float)) / sizeof(T);
    Row("embedding forward", rows, kSize,
        [&] { ops_.embedding_forward(d, ids.data(), m_.table.data(), m_.y.data()); });
    Row("embedding backward", rows, kSize,
        [&] { ops_.embedding_backward(d, ids.data(), m_.dy.data(), m_.dtable.data()); });
    Row("gather rows", 2, kSize,
        [&] { ops_.gather_rows(kRows, kChannels, m_.a.data(), ids.data(), m_.y.data()); });
  }

  void Norms() {
    const RmsNormDims d{kRows, kChannels, 1.0, 1e-6};
    Row("rmsnorm forward", 2, kSize, [&] { ops_.rmsnorm_forward(d, m_.a.data(), m_.y.data()); });
    Row("rmsnorm backward", 3, kSize,
        [&] { ops_.rmsnorm_backward(d, m_.a.data(), m_.dy.data(), {m_.y.data()}); });
    const SmearDims s{kWindows, kTokens, kChannels};
    Row("smear forward", 2, kSize,
        [&] { ops_.smear_forward(s, m_.a.data(), m_.w.data(), m_.y.data()); });
    Row("smear backward", 3, kSize, [&] {
      ops_.smear_backward(s, m_.a.data(), m_.w.data(), m_.dy.data(), {m_.y.data()},
                          m_.dgate.data());
    });
  }

  void Sums() {
    const ElementwiseDims d{kRows, kChannels, false};
    Row("add forward", 3, kSize,
        [&] { ops_.add_forward(d, m_.a.data(), m_.b.data(), m_.y.data()); });
    Row("scaled add forward", 3, kSize,
        [&] { ops_.scaled_add_forward(d, m_.a.data(), m_.b.data(), m_.w.data(), m_.y.data()); });
    Row("scaled add backward", 4, kSize, [&] {
      ops_.scaled_add_backward(d, m_.b.data(), m_.w.data(), m_.dy.data(), {m_.y.data()},
                               {m_.z.data()}, m_.dw.data());
    });
    Row("mix forward", 3, kSize,
        [&] { ops_.mix_forward(d, m_.a.data(), m_.b.data(), m_.w.data(), m_.y.data()); });
    Row("mix backward", 5, kSize, [&] {
      ops_.mix_backward(d, m_.a.data(), m_.b.data(), m_.w.data(), m_.dy.data(), {m_.y.data()},
                        {m_.z.data()}, m_.dw.data());
    });
    const GatedSkipDims s{kRows, kChannels};
    const float* gate = m_.w.data() + kChannels;
    Row("gated skip forward", 3, kSize, [&] {
      ops_.gated_skip_forward(s, m_.a.data(), m_.b.data(), m_.w.data(), gate, m_.y.data());
    });
    Row("gated skip backward", 5, kSize, [&] {
      ops_.gated_skip_backward(s, m_.a.data(), m_.b.data(), m_.w.data(), gate, m_.dy.data(),
                               {m_.y.data()}, {m_.z.data()}, m_.dw.data(), m_.dgate.data());
    });
  }

  void Heads() {
    const QkPrepareDims d{kRows, kHeads, kWidth, kRotary, 1e-6};
    const RopeTables rope = MakeRopeTables(kTokens, {kRotary, 10'000.0, 0, false});
    std::vector<int32_t> position(kRows);
    for (size_t n = 0; n < kRows; ++n) position[n] = static_cast<int32_t>(n % kTokens);
    Row("q/k prepare forward", 2, kSize, [&] {
      ops_.qk_prepare_forward(d, m_.a.data(), m_.w.data(), rope.cos.data(), rope.sin.data(),
                              position.data(), m_.y.data());
    });
    Row("q/k prepare backward", 3, kSize, [&] {
      ops_.qk_prepare_backward(d, m_.a.data(), m_.w.data(), rope.cos.data(), rope.sin.data(),
                               position.data(), m_.dy.data(), {m_.y.data()}, m_.dw.data());
    });
    const XsaDims x{kRows, kHeads, kKvHeads, kWidth};
    Row("xsa forward", 2.5, kSize,
        [&] { ops_.xsa_forward(x, m_.a.data(), m_.b.data(), m_.y.data()); });
    Row("xsa backward", 4, kSize, [&] {
      ops_.xsa_backward(x, m_.a.data(), m_.b.data(), m_.dy.data(), {m_.y.data()}, {m_.z.data()});
    });
  }

  void Hidden() {
    const SquaredReluDims d{kRows, kHidden, 0.0};
    const float *scale = m_.w.data(), *bias = m_.w.data() + kHidden;
    Row("squared relu forward", 2, kRows * kHidden,
        [&] { ops_.squared_relu_forward(d, m_.a.data(), scale, bias, m_.y.data()); });
    Row("squared relu backward", 3, kRows * kHidden, [&] {
      ops_.squared_relu_backward(d, m_.a.data(), scale, m_.dy.data(), {m_.y.data()}, m_.dw.data(),
                                 m_.dgate.data());
    });
  }

  // Logits are float whatever T is.
  void Loss() {
    const CrossEntropyDims d{kRows, kVocabulary, 30.0};
    const auto logits = Normal<float>(kRows * kVocabulary, 4.0F);
    const auto target = Ids(kRows, kVocabulary);
    std::vector<float> nll(kRows), lse(kRows);
    const double logit_bytes = sizeof(float), both_bytes = logit_bytes + sizeof(T);
    Row("cross entropy forward", logit_bytes / sizeof(T), logits.size(), [&] {
      ops_.cross_entropy_forward(d, logits.data(), target.data(), nll.data(), lse.data());
    });
    Row("cross entropy backward", both_bytes / sizeof(T), logits.size(), [&] {
      ops_.cross_entropy_backward(d, logits.data(), target.data(), lse.data(), 1.0F, m_.y.data());
    });
  }

  static constexpr size_t kSize = kRows * kChannels;
  const Bench& bench_;
  const OpKernels<T>& ops_;
  Buffers<T> m_;
};

}  // namespace

void OpRowsOfAll(const Bench& bench) {
  bench.Heading("rows of 512 channels, 4,096 tokens");
  OpRows<float>(bench).All();
  OpRows<bf16>(bench).All();
}

void OptimizerRows(const Bench& bench) {
  bench.Heading("optimizers, 16 Mi parameters");
  const size_t n = size_t{1} << 24;
  const auto g = Normal<float>(n);
  auto p = g, m = g;
  std::vector<float> v(n, 1.0F);
  const OptimizerKernels& ops = bench.table().optimizer;
  const auto row = [&](const char* name, double floats, const std::function<void()>& call) {
    bench.Row(name, Element::kFloat, {0.0, floats * 4.0 * static_cast<double>(n)}, call);
  };
  row("adamw", 7, [&] {
    ops.adamw({1e-3F, 0.9F, 0.95F, 1e-8F, 0.01F, 10}, n, g.data(), p.data(), m.data(), v.data());
  });
  row("sgd with momentum", 5, [&] {
    ops.sgd({1e-3F, 0.9F, 0.0F}, n, g.data(), p.data(), m.data());
  });
  row("moving average", 3, [&] { ops.ema(n, 0.997, p.data(), m.data()); });
  row("sum of squares", 1, [&] { (void)ops.sum_of_squares(n, g.data()); });
}

}  // namespace golf::bench
