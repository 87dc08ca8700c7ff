#include "trainer/import_weights.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>

#include "artifact/file.h"
#include "artifact/safetensors.h"
#include "artifact/sha256.h"
#include "kernels/base/block_name.h"
#include "runtime/program.h"
#include "schemas/program_generated.h"
#include "trainer/infer_network.h"

namespace golf {
namespace {

constexpr std::string_view kEmbedding = "tok_emb.weight", kHead = "lm_head.weight",
                           kTemperature = "inference_temp";

std::string ShapeText(std::span<const uint32_t> shape) {
  return fmt::format("({})", fmt::join(shape, ", "));
}

// The prefix, up to a dot, that the file's names have in front of the network's; empty if not all have it.
std::string CommonPrefix(const TensorFile& file) {
  std::string prefix;
  const std::vector<TensorView> views = file.views();
  for (const TensorView& tensor : views) {
    if (tensor.name.size() > kEmbedding.size() + 1 && tensor.name.ends_with(kEmbedding) &&
        tensor.name[tensor.name.size() - kEmbedding.size() - 1] == '.') {
      prefix = tensor.name.substr(0, tensor.name.size() - kEmbedding.size());
      break;
    }
  }
  const auto has_it = [&](const auto& tensor) {
    return tensor.name.starts_with(prefix) && tensor.name.size() > prefix.size();
  };
  const bool all = std::all_of(views.begin(), views.end(), has_it) &&
                   std::all_of(file.left_out().begin(), file.left_out().end(), has_it);
  return all ? prefix : "";
}

// The differences between the tensors of a file and the weights of a network, those of all blocks in one line.
class Differences {
 public:
  void Add(std::string_view name, const std::string& what) {
    std::string label(name.substr(0, 100));
    if (const auto block = BlockOf(label)) {
      const size_t rest = label.find('.', sizeof("blocks.") - 1);
      label = "blocks.*" + label.substr(rest);
    }
    label += " " + what;
    const auto [at, fresh] = index_.emplace(label, lines_.size());
    if (fresh) lines_.push_back({std::move(label), 0});
    ++lines_[at->second].count;
  }

  bool empty() const { return lines_.empty(); }

  std::string Text() const {
    constexpr size_t kMost = 40;
    std::string text;
    for (size_t i = 0; i < std::min(lines_.size(), kMost); ++i) {
      text += (i == 0 ? "" : "; ") + lines_[i].label;
      if (lines_[i].count > 1) text += fmt::format(" ({} tensors)", lines_[i].count);
    }
    if (lines_.size() > kMost) text += fmt::format("; and {} more", lines_.size() - kMost);
    return text;
  }

 private:
  struct Line {
    std::string label;
    size_t count;
  };
  std::vector<Line> lines_;
  std::map<std::string, size_t> index_;
};

Differences Compare(const schema::ProgramT& program, std::span<const TensorView> tensors,
                    std::span<const TensorFile::LeftOut> left_out) {
  std::map<std::string_view, const TensorView*> given;
  for (const TensorView& tensor : tensors) given.emplace(tensor.name, &tensor);
  Differences differences;
  for (const auto& weight : program.weights) {
    const auto at = given.find(weight->name);
    if (at != given.end()) {
      const std::span<const uint32_t> found = at->second->shape;
      given.erase(at);
      // A scalar may be written as () or (1), as PyTorch code does both.
      if (std::ranges::equal(found, weight->shape) ||
          (ElementCount(found) == 1 && ElementCount(weight->shape) == 1)) {
        continue;
      }
      differences.Add(weight->name, fmt::format("has shape {}, expected {}", ShapeText(found),
                                                ShapeText(weight->shape)));
      continue;
    }
    const auto other = std::find_if(left_out.begin(), left_out.end(),
                                    [&](const auto& t) { return t.name == weight->name; });
    differences.Add(
        weight->name,
        other == left_out.end()
            ? fmt::format("{} is missing", ShapeText(weight->shape))
            : fmt::format("has type {} and shape {}, expected floats of {}", other->dtype,
                          ShapeText(other->shape), ShapeText(weight->shape)));
  }
  for (const auto& [name, tensor] : given) {
    differences.Add(name, name == kTemperature
                              ? fmt::format("is {:g}; only 1 can be packed", tensor->data[0])
                              : fmt::format("{} is not in the network", ShapeText(tensor->shape)));
  }
  return differences;
}

// What of the recipe to change; empty if that helps nothing.
std::string Advice(const NetworkConfig& network, std::span<const TensorView> tensors,
                   std::span<const TensorFile::LeftOut> left_out) {
  const NetworkConfig inferred = InferNetwork(network, tensors);
  const std::vector<std::string> changes = NetworkChanges(network, inferred);
  if (changes.empty() || !CheckNetworkConfig(inferred).ok()) return "";
  const bool fits = Compare(*BuildNetwork(inferred), tensors, left_out).empty();
  return fmt::format("; {} with --set {}", fits ? "the recipe fits" : "the recipe comes nearer",
                     fmt::join(changes, " --set "));
}

}  // namespace

Result<ImportedWeights> ImportWeights(const std::string& path, const NetworkConfig& network,
                                      const schema::ProgramT& program) {
  GOLF_ASSIGN(const MappedFile bytes, MappedFile::Open(path));
  const Result<TensorFile> read = ParseSafetensors(bytes.bytes());
  if (!read.ok()) return Status(read.status().code(), path + ": " + read.status().message());
  const TensorFile& file = *read;
  ImportedWeights imported;
  imported.sha256 = ToHex(Sha256::OfMapped(bytes));
  const auto note = [&](const std::string& what) {
    imported.notes.push_back(fmt::format("{}: {}", path, what));
  };
  const std::string prefix = CommonPrefix(file);
  if (!prefix.empty()) note(fmt::format("'{}' was taken off all names", prefix));
  std::vector<TensorFile::LeftOut> left_out = file.left_out();
  for (TensorFile::LeftOut& tensor : left_out) {
    tensor.name.erase(0, prefix.size());
    note(fmt::format("left out {} {} of type {}, which holds no weights", tensor.name,
                     ShapeText(tensor.shape), tensor.dtype));
  }
  std::vector<TensorView> tensors = file.views();
  for (TensorView& tensor : tensors) tensor.name.remove_prefix(prefix.size());

  const auto find = [&](std::string_view name) {
    return std::find_if(tensors.begin(), tensors.end(),
                        [name](const TensorView& t) { return t.name == name; });
  };
  const auto head = find(kHead), embedding = find(kEmbedding);
  if (network.tie_embeddings && head != tensors.end() && embedding != tensors.end() &&
      std::ranges::equal(head->shape, embedding->shape) &&
      std::ranges::equal(head->data, embedding->data)) {
    note(fmt::format("left out {}, which equals {}", kHead, kEmbedding));
    tensors.erase(head);
  }
  if (const auto temperature = find(kTemperature);
      temperature != tensors.end() && temperature->data.size() == 1 && temperature->data[0] == 1) {
    tensors.erase(temperature);
  }

  const Differences differences = Compare(program, tensors, left_out);
  if (!differences.empty()) {
    return Status(Code::kBadData,
                  fmt::format("{}: not the weights of recipe '{}': {}{}", path, network.name,
                              differences.Text(), Advice(network, tensors, left_out)));
  }
  GOLF_ASSIGN(imported.weights, TensorSet::From(program, tensors));
  return imported;
}

}  // namespace golf
