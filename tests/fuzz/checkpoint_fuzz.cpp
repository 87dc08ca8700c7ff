// Forms: 0 a whole file; 1 groups of tensors, built into a file that is right but for one thing at most. All checksums fit.
#include <map>
#include <set>

#include "artifact/checkpoint.h"
#include "artifact/checkpoint_layout.h"
#include "kernels/base/check.h"
#include "schemas/checkpoint_generated.h"
#include "tests/fuzz/fuzz_targets.h"
#include "tests/fuzz/input_reader.h"
#include "tests/fuzz/memory_file.h"

namespace golf::test {
namespace {

using Bytes = std::vector<uint8_t>;

// Checksums of the tensors, as far as the description and the file say where they lie.
void RepairTensors(Bytes& file, std::span<uint8_t> description, size_t at) {
  flatbuffers::Verifier verifier(description.data(), description.size(), 16, 1 << 20);
  if (!schema::VerifyCheckpointBuffer(verifier)) return;
  for (const schema::TensorGroup* group : *schema::GetCheckpoint(description.data())->groups()) {
    for (const schema::CheckpointTensor* tensor : *group->tensors()) {
      size_t bytes = sizeof(float);
      for (size_t i = 0; tensor->shape() != nullptr && i < tensor->shape()->size(); ++i) {
        bytes *= tensor->shape()->Get(static_cast<flatbuffers::uoffset_t>(i));
        if (bytes > file.size()) return;
      }
      if (bytes > file.size() - at) return;
      auto* table =
          const_cast<flatbuffers::Table*>(reinterpret_cast<const flatbuffers::Table*>(tensor));
      table->SetField<uint64_t>(schema::CheckpointTensor::VT_XXH3,
                                Xxh3(std::span(file).subspan(at, bytes)), 0);
      at = std::min(at + bytes + CheckpointPadding(bytes), file.size());
    }
  }
}

void Repair(Bytes& file) {
  CheckpointHeader header;
  if (file.size() < sizeof(header)) return;
  std::memcpy(&header, file.data(), sizeof(header));
  header.file_bytes = file.size();
  if (header.description_bytes <= file.size() - sizeof(header)) {
    const auto description = std::span(file).subspan(sizeof(header), header.description_bytes);
    const size_t end = sizeof(header) + description.size();
    RepairTensors(file, description, std::min(end + CheckpointPadding(end), file.size()));
    header.description_xxh3 = Xxh3(description);
  }
  header.header_xxh3 = HeaderXxh3(header);
  std::memcpy(file.data(), &header, sizeof(header));
}

// Reads the file; what an accepted one keeps is checked. Whether it was accepted.
bool Read(const Bytes& file) {
  static const MemoryFile memory;
  memory.Set(file);
  const auto checkpoint = Checkpoint::Open(memory.path());
  if (!checkpoint.ok()) return false;
  std::set<std::string_view> groups;
  size_t bytes = 0;
  for (const TensorGroup& group : checkpoint->contents().groups) {
    GOLF_CHECK(groups.insert(group.name).second);
    std::set<std::string_view> names;
    for (const TensorView& t : group.tensors) {
      GOLF_CHECK(names.insert(t.name).second);
      GOLF_CHECK(t.data.size() == ElementCount(t.shape) && !t.data.empty());
      bytes += t.data.size_bytes();
      volatile float last = t.data.back();
      (void)last;
    }
  }
  GOLF_CHECK(bytes + checkpoint->description_bytes() < checkpoint->file_bytes());
  return true;
}

schema::CheckpointT Build(InputReader& in, Bytes& payload) {
  schema::CheckpointT root;
  root.program = in.Bytes(in.Byte());
  root.recipe = in.Text(in.Below(16));
  if (in.Below(2) == 1) {
    root.tokenizer = std::make_unique<schema::TokenizerT>();
    root.tokenizer->sha256.assign(32, 7);
    root.tokenizer->bytes = {in.Value<uint16_t>(), in.Value<uint16_t>()};
    root.tokenizer->flags = {static_cast<uint8_t>(in.Below(4)), static_cast<uint8_t>(in.Below(4))};
  }
  for (uint32_t g = in.Below(4); g > 0; --g) {
    auto group = std::make_unique<schema::TensorGroupT>();
    group->name = "group" + std::to_string(g);
    for (uint32_t t = in.Below(5); t > 0; --t) {
      auto tensor = std::make_unique<schema::CheckpointTensorT>();
      tensor->name = "tensor" + std::to_string(t);
      tensor->xxh3 = 1;  // a default would not be stored and could not be mended
      size_t count = 1;
      for (uint32_t d = in.Below(4); d > 0; --d) {
        tensor->shape.push_back(1 + in.Below(7));
        count *= tensor->shape.back();
      }
      for (size_t i = 0; i < count; ++i) {
        const uint32_t x = in.Value<uint32_t>();
        payload.resize(payload.size() + sizeof(x));
        std::memcpy(&payload[payload.size() - sizeof(x)], &x, sizeof(x));
      }
      payload.resize(payload.size() + CheckpointPadding(payload.size()));
      group->tensors.push_back(std::move(tensor));
    }
    root.groups.push_back(std::move(group));
  }
  for (uint32_t i = in.Below(4); i > 0; --i) {
    root.integers.push_back(std::make_unique<schema::IntegerT>());
    root.integers.back()->name = "integer" + std::to_string(i);
    root.integers.back()->value = in.Value<uint64_t>();
    root.reals.push_back(std::make_unique<schema::RealT>());
    root.reals.back()->name = "real" + std::to_string(i);
    root.reals.back()->value = in.Value<double>();
  }
  return root;
}

// One thing that is wrong; false if there is none.
bool Damage(InputReader& in, schema::CheckpointT& root, Bytes& payload) {
  const uint32_t kind = in.Below(8);
  if (kind == 1) payload.resize(in.Value<uint16_t>() % 4096);
  if (kind == 2 && !payload.empty()) payload[in.Value<uint16_t>() % payload.size()] = in.Byte();
  if (kind == 3 && root.tokenizer) root.tokenizer->flags.push_back(in.Byte());
  if (kind == 4 && root.tokenizer) root.tokenizer->sha256.resize(in.Byte());
  if (kind >= 5 && !root.groups.empty()) {
    schema::TensorGroupT& group = *root.groups[in.Below(root.groups.size())];
    if (kind == 5) group.name = in.Text(in.Below(8));
    if (!group.tensors.empty()) {
      schema::CheckpointTensorT& tensor = *group.tensors[in.Below(group.tensors.size())];
      if (kind == 6) tensor.name = "tensor1";
      if (kind == 7) tensor.shape = {in.Value<uint32_t>(), in.Value<uint32_t>()};
    }
  }
  return kind != 0;
}

void Groups(InputReader& in) {
  Bytes payload;
  schema::CheckpointT root = Build(in, payload);
  const bool damaged = Damage(in, root, payload);
  flatbuffers::FlatBufferBuilder builder;
  schema::FinishCheckpointBuffer(builder, schema::Checkpoint::Pack(builder, &root));
  CheckpointHeader header;
  header.description_bytes = builder.GetSize();
  Bytes file(sizeof(header));
  std::memcpy(file.data(), &header, sizeof(header));
  file.insert(file.end(), builder.GetBufferPointer(),
              builder.GetBufferPointer() + builder.GetSize());
  file.resize(file.size() + CheckpointPadding(file.size()));
  file.insert(file.end(), payload.begin(), payload.end());
  Repair(file);
  const bool accepted = Read(file);
  GOLF_CHECK(accepted || damaged);
}

}  // namespace

void FuzzCheckpoint(std::span<const uint8_t> input) {
  InputReader in(input);
  if (in.Below(2) == 1) return Groups(in);
  Bytes file = in.Rest();
  Repair(file);
  Read(file);
}

}  // namespace golf::test
