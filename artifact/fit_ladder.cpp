// PR 1232's way under the budget.
#include <algorithm>
#include <string>
#include <string_view>

#include "artifact/fit.h"

namespace golf {
namespace {

// One more than the highest n of "blocks.<n>" and "blocks.<n>.".
int LayersOf(std::span<const TensorView> tensors) {
  static constexpr std::string_view kPrefix = "blocks.";
  int layers = 0;
  for (const TensorView& tensor : tensors) {
    if (!tensor.name.starts_with(kPrefix)) continue;
    std::string_view number = tensor.name;
    number.remove_prefix(kPrefix.size());
    number = number.substr(0, number.find('.'));
    if (number.empty() || number.find_first_not_of("0123456789") != number.npos) continue;
    int layer = 0;
    for (const char digit : number) layer = std::min(10 * layer + (digit - '0'), 9999);
    layers = std::max(layers, layer + 1);
  }
  return layers;
}

}  // namespace

std::vector<int> LadderOrder(int layers) {
  std::vector<int> order;
  const int middle = layers / 2;
  for (int distance = 0; static_cast<int>(order.size()) < layers; ++distance) {
    if (middle + distance < layers) order.push_back(middle + distance);
    if (distance > 0) order.push_back(middle - distance);  // there are no fewer below than above
  }
  return order;
}

Packing WithInt5Layers(Packing packing, std::span<const int> layers) {
  PackingRule int5;
  int5.encoding = quantisers::RowsPlain(-16, 15, 1.0);
  for (const int layer : layers) {
    for (const char* part : {".mlp.", ".attn."})
      int5.name_parts.push_back("blocks." + std::to_string(layer) + part);
  }
  if (layers.empty()) return packing;
  return WithMatricesAs(std::move(packing), std::move(int5));
}

Result<FitResult> FitByLadder(const Packing& packing, const FitTask& task) {
  if (!packing.name.starts_with("pr1232"))
    return Status{Code::kUsage, "the ladder of PR 1232 needs --preset pr1232 or pr1232-int6, not " +
                                    packing.name};
  const std::vector<int> order = LadderOrder(LayersOf(task.tensors));
  FitResult result;
  uint64_t smallest = 0;
  for (size_t widened = 0; widened <= order.size(); ++widened) {
    const std::span<const int> layers = std::span(order).first(widened);
    GOLF_ASSIGN(std::vector<EncodedTensor> encoded,
                EncodeTensors(WithInt5Layers(packing, layers), task.tensors, task.options));
    for (const int level : {16, 1, 17, 2}) {
      const uint64_t bytes = task.artifact_bytes(encoded, level);
      result.path.push_back({"int5 in " + std::to_string(widened) + " of " +
                                 std::to_string(order.size()) + " layers, level " +
                                 std::to_string(level),
                             bytes, 0});
      if (smallest != 0 && bytes >= smallest) continue;
      smallest = bytes;
      result.level = level;
      result.tensors = encoded;
      result.fits = bytes <= task.max_bytes;
      if (result.fits) return result;
    }
  }
  return result;
}

}  // namespace golf
