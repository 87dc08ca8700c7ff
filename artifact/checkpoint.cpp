#include "artifact/checkpoint.h"

#include <algorithm>
#include <unordered_set>

#include "artifact/checkpoint_layout.h"
#include "artifact/file_kind.h"
#include "artifact/sha256.h"
#include "schemas/checkpoint_generated.h"

namespace golf {
namespace {

constexpr size_t kMaxDescriptionBytes = 256 << 20;
constexpr size_t kMaxTables =
    1 << 20;  // bounds the verifier's work on tables that are referred to many times
constexpr int kMaxDepth = 16;
constexpr size_t kMaxDimensions = 8;
constexpr size_t kMaxNameBytes = 1024;  // programs show a name as a tree, as deep as it has dots

Status Bad(const std::string& why) { return {Code::kBadData, why}; }

std::string_view View(const flatbuffers::String* text) {
  return text == nullptr ? std::string_view() : std::string_view(text->data(), text->size());
}

// Tables may share names, and names may overlap: a million tables with one long name would cost terabytes of copies. An
// honest description says each name once, so together they fit into it.
Status CheckNames(const schema::Checkpoint& table, size_t description_bytes) {
  size_t bytes = 0, longest = 0;
  const auto count = [&](const auto* named) {
    for (size_t i = 0; named != nullptr && i < named->size(); ++i) {
      const size_t size = named->Get(static_cast<flatbuffers::uoffset_t>(i))->name()->size();
      bytes += size;
      longest = std::max(longest, size);
    }
  };
  count(table.groups());
  for (const schema::TensorGroup* group : *table.groups()) count(group->tensors());
  count(table.integers());
  count(table.reals());
  if (bytes > description_bytes) return Bad("the tables of the description share names");
  if (longest > kMaxNameBytes) return Bad("a name of " + std::to_string(longest) + " bytes");
  return {};
}

Status CheckHeader(const CheckpointHeader& header, size_t file_bytes) {
  if (header.header_xxh3 != HeaderXxh3(header)) return Bad("the header is damaged");
  if (header.version != kCheckpointVersion) {
    return Bad("checkpoint version " + std::to_string(header.version) + ", expected " +
               std::to_string(kCheckpointVersion) + "; use a newer golf");
  }
  if (header.file_bytes != file_bytes) {
    return Bad("expected " + std::to_string(header.file_bytes) + " bytes, found " +
               std::to_string(file_bytes) + "; the file is torn");
  }
  if (header.description_bytes > std::min(kMaxDescriptionBytes, file_bytes - sizeof(header))) {
    return Bad("a description of " + std::to_string(header.description_bytes) + " bytes");
  }
  return {};
}

// Walks the raw part of the file: tensors and the padding between them, in order.
class RawTensors {
 public:
  explicit RawTensors(std::span<const uint8_t> rest) : rest_(rest) {}

  bool done() const { return rest_.empty(); }

  // The next `bytes` bytes; their padding must be zero.
  Result<std::span<const uint8_t>> Next(size_t bytes) {
    if (bytes > rest_.size() || CheckpointPadding(bytes) > rest_.size() - bytes)
      return Bad("the file ends too early");
    const auto data = rest_.first(bytes);
    const auto padding = rest_.subspan(bytes, CheckpointPadding(bytes));
    if (std::any_of(padding.begin(), padding.end(), [](uint8_t b) { return b != 0; }))
      return Bad("damaged padding");
    rest_ = rest_.subspan(bytes + padding.size());
    return data;
  }

 private:
  std::span<const uint8_t> rest_;
};

Result<TensorView> ReadTensor(const schema::CheckpointTensor& table, size_t file_bytes,
                              RawTensors& raw) {
  TensorView view{View(table.name()), {}, {}};
  const auto bad = [&](const std::string& why) {
    return Bad("tensor '" + std::string(view.name) + "': " + why);
  };
  if (table.shape() != nullptr) view.shape = {table.shape()->data(), table.shape()->size()};
  if (view.shape.size() > kMaxDimensions) return bad("too many dimensions");
  size_t count = 1;
  for (const uint32_t d : view.shape) {
    if (d == 0 || count > file_bytes / sizeof(float) / d)
      return bad("its shape does not fit the file");
    count *= d;
  }
  GOLF_ASSIGN(const auto bytes, raw.Next(count * sizeof(float)));
  if (Xxh3(bytes) != table.xxh3()) return bad("its checksum is wrong; the file is damaged");
  view.data = {reinterpret_cast<const float*>(bytes.data()), count};
  return view;
}

Result<TensorGroup> ReadGroup(const schema::TensorGroup& table, size_t file_bytes,
                              RawTensors& raw) {
  TensorGroup group{table.name()->str(), {}};
  std::unordered_set<std::string_view> names;
  for (const schema::CheckpointTensor* tensor : *table.tensors()) {
    Result<TensorView> view = ReadTensor(*tensor, file_bytes, raw);
    if (!view.ok()) return Bad("group '" + group.name + "', " + view.status().message());
    if (!names.insert(view->name).second)
      return Bad("group '" + group.name + "' has '" + std::string(view->name) + "' twice");
    group.tensors.push_back(*view);
  }
  return group;
}

}  // namespace

std::span<const TensorView> CheckpointContents::group(std::string_view name) const {
  for (const TensorGroup& g : groups) {
    if (g.name == name) return g.tensors;
  }
  return {};
}

std::optional<double> CheckpointContents::train_seconds() const {
  const auto elapsed = reals.find("elapsed_ms");
  if (elapsed == reals.end()) return std::nullopt;
  return elapsed->second / 1000;
}

std::string Checkpoint::sha256() const { return ToHex(Sha256::OfMapped(file_)); }

Result<Checkpoint> Checkpoint::Open(const std::string& path) {
  GOLF_ASSIGN(MappedFile file, MappedFile::Open(path));
  Checkpoint checkpoint(std::move(file));
  if (Status s = checkpoint.Parse(); !s.ok()) return Status{s.code(), path + ": " + s.message()};
  return checkpoint;
}

Status Checkpoint::Parse() {
  const std::span<const uint8_t> bytes = file_.bytes();
  if (KindOf(bytes) != FileKind::kCheckpoint) return NotA("a checkpoint", bytes);
  CheckpointHeader header;
  if (bytes.size() < sizeof(header)) return Bad("not a checkpoint: shorter than its header");
  std::memcpy(&header, bytes.data(), sizeof(header));
  GOLF_TRY(CheckHeader(header, bytes.size()));

  RawTensors raw(bytes.subspan(sizeof(header)));
  GOLF_ASSIGN(const auto description, raw.Next(header.description_bytes));
  description_bytes_ = description.size();
  if (Xxh3(description) != header.description_xxh3) return Bad("the description is damaged");
  flatbuffers::Verifier verifier(description.data(), description.size(), kMaxDepth, kMaxTables);
  if (!schema::VerifyCheckpointBuffer(verifier)) return Bad("the description is malformed");
  const schema::Checkpoint& table = *schema::GetCheckpoint(description.data());
  GOLF_TRY(CheckNames(table, description.size()));

  contents_.program = {table.program()->data(), table.program()->size()};
  contents_.recipe = std::string(View(table.recipe()));
  if (table.tokenizer() != nullptr) {
    GOLF_ASSIGN(contents_.tokenizer, UnpackTokenizerInfo(*table.tokenizer()));
  }
  std::unordered_set<std::string_view> names;
  for (const schema::TensorGroup* group : *table.groups()) {
    GOLF_ASSIGN(TensorGroup read, ReadGroup(*group, bytes.size(), raw));
    if (!names.insert(View(group->name())).second)
      return Bad("group '" + read.name + "' stands there twice");
    contents_.groups.push_back(std::move(read));
  }
  if (!raw.done()) return Bad("bytes after the last tensor");
  if (table.integers() != nullptr) {
    for (const schema::Integer* i : *table.integers()) {
      if (!contents_.integers.emplace(i->name()->str(), i->value()).second)
        return Bad("integer '" + i->name()->str() + "' stands there twice");
    }
  }
  if (table.reals() != nullptr) {
    for (const schema::Real* r : *table.reals()) {
      if (!contents_.reals.emplace(r->name()->str(), r->value()).second)
        return Bad("real '" + r->name()->str() + "' stands there twice");
    }
  }
  GOLF_ASSIGN(contents_.training_shards, UnpackShards(table.training_shards()));
  GOLF_ASSIGN(contents_.validation_shards, UnpackShards(table.validation_shards()));
  return {};
}

}  // namespace golf
