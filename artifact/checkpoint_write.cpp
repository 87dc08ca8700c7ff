#include <algorithm>
#include <cmath>
#include <vector>

#include "artifact/checkpoint.h"
#include "artifact/checkpoint_layout.h"
#include "schemas/checkpoint_generated.h"

namespace golf {
namespace {

std::span<const uint8_t> Bytes(std::span<const float> data) {
  return {reinterpret_cast<const uint8_t*>(data.data()), data.size_bytes()};
}

Status CheckFinite(const TensorGroup& group, const TensorView& tensor) {
  if (std::all_of(tensor.data.begin(), tensor.data.end(), [](float x) { return std::isfinite(x); }))
    return {};
  return {Code::kBadNumbers, "a NaN or infinity in group '" + group.name + "', tensor '" +
                                 std::string(tensor.name) + "'; no checkpoint was written"};
}

Result<std::unique_ptr<schema::TensorGroupT>> DescribeGroup(const TensorGroup& group) {
  auto table = std::make_unique<schema::TensorGroupT>();
  table->name = group.name;
  for (const TensorView& t : group.tensors) {
    GOLF_TRY(CheckFinite(group, t));
    auto tensor = std::make_unique<schema::CheckpointTensorT>();
    tensor->name = t.name;
    tensor->shape.assign(t.shape.begin(), t.shape.end());
    tensor->xxh3 = Xxh3(Bytes(t.data));
    table->tensors.push_back(std::move(tensor));
  }
  return table;
}

Result<flatbuffers::DetachedBuffer> Describe(const CheckpointContents& contents) {
  schema::CheckpointT table;
  table.program.assign(contents.program.begin(), contents.program.end());
  table.recipe = contents.recipe;
  if (contents.tokenizer.byte_table.size() > 0)
    table.tokenizer = PackTokenizerInfo(contents.tokenizer);
  for (const TensorGroup& group : contents.groups) {
    GOLF_ASSIGN(auto described, DescribeGroup(group));
    table.groups.push_back(std::move(described));
  }
  for (const auto& [name, value] : contents.integers) {
    auto integer = std::make_unique<schema::IntegerT>();
    integer->name = name;
    integer->value = value;
    table.integers.push_back(std::move(integer));
  }
  for (const auto& [name, value] : contents.reals) {
    auto real = std::make_unique<schema::RealT>();
    real->name = name;
    real->value = value;
    table.reals.push_back(std::move(real));
  }
  table.training_shards = PackShards(contents.training_shards);
  table.validation_shards = PackShards(contents.validation_shards);
  flatbuffers::FlatBufferBuilder builder(1 << 16);
  schema::FinishCheckpointBuffer(builder, schema::Checkpoint::Pack(builder, &table));
  return builder.Release();
}

Status WritePadded(AtomicFile& file, std::span<const uint8_t> bytes) {
  static constexpr std::array<uint8_t, kCheckpointAlignment> kZeros{};
  GOLF_TRY(file.Write(bytes));
  return file.Write({kZeros.data(), CheckpointPadding(bytes.size())});
}

}  // namespace

Status WriteCheckpoint(const std::string& path, const CheckpointContents& contents) {
  GOLF_ASSIGN(const flatbuffers::DetachedBuffer description, Describe(contents));
  const std::span<const uint8_t> description_bytes{description.data(), description.size()};

  CheckpointHeader header;
  const auto padded = [](size_t bytes) { return bytes + CheckpointPadding(bytes); };
  header.file_bytes = sizeof(header) + padded(description.size());
  for (const TensorGroup& group : contents.groups) {
    for (const TensorView& t : group.tensors) header.file_bytes += padded(t.data.size_bytes());
  }
  header.description_bytes = description.size();
  header.description_xxh3 = Xxh3(description_bytes);
  header.header_xxh3 = HeaderXxh3(header);

  GOLF_ASSIGN(AtomicFile file, AtomicFile::Create(path));
  GOLF_TRY(file.Write({reinterpret_cast<const uint8_t*>(&header), sizeof(header)}));
  GOLF_TRY(WritePadded(file, description_bytes));
  for (const TensorGroup& group : contents.groups) {
    for (const TensorView& t : group.tensors) GOLF_TRY(WritePadded(file, Bytes(t.data)));
  }
  return file.Commit();
}

}  // namespace golf
