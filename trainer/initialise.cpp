#include "trainer/initialise.h"

#define EIGEN_DONT_PARALLELIZE  // same bits for any number of threads
#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <string_view>

#include "kernels/base/bf16.h"
#include "kernels/base/check.h"
#include "runtime/trainable.h"
#include "schemas/program_generated.h"
#include "trainer/random.h"

namespace golf {
namespace {

enum class Fill {
  kConstant,    // value
  kNormal,      // standard deviation value
  kUniform,     // +-1 / sqrt(columns)
  kOrthogonal,  // orthonormal rows or columns, whichever are fewer, times value
  kMix,         // row 0 is 1, row 1 is 0
};

struct Rule {
  std::string_view pattern;
  Fill fill;
  double value;
};

// First match wins.
std::vector<Rule> Rules(const NetworkConfig& c) {
  const double side = 1 / std::sqrt(2.0 * c.num_layers);
  const Rule linear = {"blocks.*.weight", c.ortho_init ? Fill::kOrthogonal : Fill::kUniform, 1};
  // A zero table behind a zero projection would never learn anything.
  const Rule bigram_table = c.bigram_xor_hash && c.ortho_init
                                ? Rule{"bigram*.embed.weight", Fill::kConstant, 0}
                                : Rule{"bigram*.embed.weight", Fill::kNormal, 0.01};
  const Fill side_fill = c.ortho_init ? Fill::kOrthogonal : Fill::kConstant;
  const Fill refiner_fill = c.ortho_init ? Fill::kOrthogonal : Fill::kNormal;
  const double refiner_size = c.ortho_init ? 1 : 0.01;
  return {
      {"skip_weights", Fill::kConstant, 1},
      {"skip_gates", Fill::kConstant, 0},
      {"tok_emb.weight", Fill::kNormal, c.tied_embed_init_std},
      {"bigram*.scale", Fill::kConstant, 0.05},
      bigram_table,
      {"bigram*.proj.weight", side_fill, c.ortho_init ? side : 0},
      {"smear*.gate", Fill::kConstant, 0},
      {"blocks.*.attn_scale", Fill::kConstant, 1},
      {"blocks.*.mlp_scale", Fill::kConstant, 1},
      {"blocks.*.resid_mix", Fill::kMix, 0},
      {"blocks.*.attn.q_gain", Fill::kConstant, c.qk_gain_init},
      {"blocks.*.attn.vr_lambda", Fill::kConstant, 0.5},
      {"blocks.*.attn.attn_gate.weight", Fill::kConstant, 0},
      {"blocks.*.attn.attn_gate.bias", Fill::kConstant, 4},
      {"blocks.*.attn.proj.weight", Fill::kConstant, 0},
      {"blocks.*.mlp.proj.weight", Fill::kConstant, 0},
      {"blocks.*.mlp.down_proj.weight", Fill::kConstant, 0},
      {"blocks.*.mlp.scale", Fill::kConstant, 1},
      {"blocks.*.mlp.bias", Fill::kConstant, 0},
      linear,
      {"ve_shared.scale", Fill::kConstant, 0.1},
      {"ve_shared.embed.weight", Fill::kNormal, 0.01},
      {"ve_shared.proj.weight", side_fill, c.ortho_init ? side : 0},
      {"ve_layer_scales.*", Fill::kConstant, 1},
      {"flow_refiner.gate", Fill::kConstant, -5},
      {"flow_refiner.*.bias", Fill::kConstant, 0},
      {"flow_refiner.velocity_net.2.weight", Fill::kConstant, 0},
      {"flow_refiner.*.weight", refiner_fill, refiner_size},
      {"lm_head.weight", Fill::kConstant, 0},
  };
}

// FNV-1a: a fixed 64-bit number for a name.
uint64_t StreamOf(std::string_view name) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : name) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3;
  return hash;
}

// Q of the QR decomposition of a normal matrix, its columns signed like R's diagonal: uniform over orthogonal matrices.
void FillOrthogonal(const Philox& random, std::span<const uint32_t> shape, double gain,
                    std::span<float> out) {
  GOLF_CHECK(shape.size() == 2);
  const auto rows = static_cast<Eigen::Index>(shape[0]), cols = static_cast<Eigen::Index>(shape[1]);
  const Eigen::Index tall = std::max(rows, cols), narrow = std::min(rows, cols);
  Eigen::MatrixXf normal(tall, narrow);
  random.FillNormal(1, {normal.data(), static_cast<size_t>(normal.size())});
  const Eigen::HouseholderQR<Eigen::MatrixXf> qr(normal);
  Eigen::MatrixXf q = qr.householderQ() * Eigen::MatrixXf::Identity(tall, narrow);
  for (Eigen::Index i = 0; i < narrow; ++i) {
    q.col(i) *= static_cast<float>(qr.matrixQR()(i, i) < 0 ? -gain : gain);
  }
  using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  Eigen::Map<RowMajor> result(out.data(), rows, cols);
  if (rows >= cols) {
    result = q;
  } else {
    result = q.transpose();
  }
}

}  // namespace

TensorSet InitialWeights(const NetworkConfig& config, const schema::ProgramT& program,
                         uint64_t seed) {
  TensorSet weights(program);
  const std::vector<Rule> rules = Rules(config);
  for (size_t i = 0; i < weights.count(); ++i) {
    const std::string& name = weights.name(i);
    const auto rule = std::find_if(rules.begin(), rules.end(),
                                   [&](const Rule& r) { return MatchesPattern(r.pattern, name); });
    GOLF_CHECK(rule != rules.end());
    const std::span<float> out = weights[i];
    const std::span<const uint32_t> shape = weights.shape(i);
    const Philox random(seed, StreamOf(name));
    switch (rule->fill) {
      case Fill::kConstant:
        std::fill(out.begin(), out.end(), static_cast<float>(rule->value));
        break;
      case Fill::kNormal:
        random.FillNormal(rule->value, out);
        break;
      case Fill::kUniform: {
        const float bound = 1 / std::sqrt(static_cast<float>(shape.back()));
        random.FillUniform(-bound, bound, out);
        break;
      }
      case Fill::kOrthogonal:
        FillOrthogonal(random, shape, rule->value, out);
        break;
      case Fill::kMix:
        std::fill(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(out.size() / 2), 1.0F);
        break;
    }
    RoundToBf16(out);
  }
  return weights;
}

}  // namespace golf
