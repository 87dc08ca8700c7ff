// Checkpoints (*.ckpt): everything that training needs to go on as if it had never stopped. A FlatBuffers description
// (schemas/checkpoint.fbs) followed by raw fp32 tensors at 64-byte boundaries; the bytes are laid out in schemas/FORMAT.md.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "artifact/file.h"
#include "artifact/shard_facts.h"
#include "artifact/tokenizer_info.h"
#include "kernels/base/status.h"
#include "kernels/base/tensor_view.h"

namespace golf {

struct TensorGroup {
  std::string name;  // unique: "weights", "ema", "swa", "optimizer/<slot>"
  std::vector<TensorView> tensors;
};

// Borrows program bytes and tensors.
struct CheckpointContents {
  std::span<const uint8_t> program;  // a serialised schema::Program
  std::string recipe;                // its text, with overrides applied
  TokenizerInfo tokenizer;           // without pieces: none is stored
  std::vector<TensorGroup> groups;
  std::map<std::string, uint64_t, std::less<>> integers;  // step, data cursor, random state, ...
  std::map<std::string, double, std::less<>> reals;       // clocks, running losses, ...
  // Trained on (Hessians: calibrated on) and validated on, in order; empty: not known, or none.
  std::vector<ShardFacts> training_shards = {}, validation_shards = {};

  // The tensors of a group; empty if there is none of that name.
  std::span<const TensorView> group(std::string_view name) const;
  // How long the steps of training took; nothing if the checkpoint does not tell.
  std::optional<double> train_seconds() const;
};

// Atomic and durable (artifact/file.h). A NaN or infinity in a tensor is refused with its name (kBadNumbers) and nothing
// is written: such a checkpoint would only hide the last good one.
Status WriteCheckpoint(const std::string& path, const CheckpointContents& contents);

// A memory-mapped checkpoint. Open checks sizes, structure and every checksum, so that nothing read from it can be torn or
// rotten; kBadData says what is wrong. Views stay valid as long as the object; moving it keeps them.
class Checkpoint {
 public:
  static Result<Checkpoint> Open(const std::string& path);
  const CheckpointContents& contents() const { return contents_; }
  const std::string& path() const { return file_.path(); }
  size_t file_bytes() const { return file_.bytes().size(); }
  std::string sha256() const;  // of the mapped file, 64 hexadecimal digits
  size_t description_bytes() const { return description_bytes_; }

 private:
  explicit Checkpoint(MappedFile file) : file_(std::move(file)) {}
  Status Parse();
  MappedFile file_;
  CheckpointContents contents_;
  size_t description_bytes_ = 0;
};

}  // namespace golf
