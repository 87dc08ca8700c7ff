// Reading artifacts (*.ptz): a packed network, everything that scoring needs and nothing else. The file is treated as hostile:
// it is read once, its content hash is checked before anything is decompressed, nothing is allocated before its size was
// checked, and every byte of it is accounted for. The layout stands in schemas/FORMAT.md.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "artifact/encoding.h"
#include "artifact/shard_facts.h"
#include "artifact/tokenizer_info.h"
#include "kernels/base/status.h"
#include "kernels/base/tensor_view.h"

namespace golf {

// What the description says of a tensor.
struct ArtifactTensor {
  std::string name;
  std::vector<uint32_t> shape;
  Encoding encoding;
  size_t element_count;
  size_t data_stream, scale_stream;  // indices into streams(); scale_stream only with codes
};

struct ArtifactStream {
  size_t element_bytes;
  uint64_t encoded_bytes;  // in the file
  uint64_t element_count;
};

struct Provenance {
  std::string producer;  // program and version
  std::string packing;   // name of the packing preset
  std::string weights;   // "ema", "raw", "safetensors"
  uint64_t step = 0;
  // That the weights were trained on, and the Hessians of the packing collected on; empty: not known, or none.
  std::vector<ShardFacts> training_shards = {}, calibration_shards = {};
  bool operator==(const Provenance&) const = default;
};

class Artifact {
 public:
  // Called when the description was read (program, tokenizer, table, streams), before any tensor is decoded. If it returns
  // an error, reading ends with it: a caller that knows what it needs spends nothing on the rest.
  using DescriptionCheck = std::function<Status(const Artifact&)>;

  // kIo if the file cannot be read, kBadData if it is anything but a whole, undamaged artifact.
  static Result<Artifact> Read(const std::string& path, const DescriptionCheck& check = nullptr);
  static Result<Artifact> Parse(std::vector<uint8_t> bytes,
                                const DescriptionCheck& check = nullptr);

  std::span<const uint8_t> program_bytes() const {
    return program_bytes_;
  }  // a serialised schema::Program, unchecked
  const TokenizerInfo& tokenizer() const { return tokenizer_; }
  const ByteTable& byte_table() const { return tokenizer_.byte_table; }
  const std::string& tokenizer_sha256() const { return tokenizer_.sha256; }
  const Provenance& provenance() const { return provenance_; }
  // SHA-256 of the whole file, 64 hexadecimal digits: the hash that all programs print, and sha256sum with them.
  const std::string& sha256() const { return sha256_; }
  const std::string& content_hash() const { return content_hash_; }  // the last bytes of the file
  uint64_t file_bytes() const { return file_bytes_; }
  uint64_t description_bytes() const { return description_bytes_; }  // compressed, in the file

  const std::vector<ArtifactTensor>& table() const { return table_; }
  const std::vector<ArtifactStream>& streams() const { return streams_; }
  // The tensors as stored, in table order.
  const std::vector<EncodedTensor>& encoded() const { return encoded_; }
  // The dequantised weights, in table order. They borrow; moving the artifact keeps them valid.
  std::vector<TensorView> tensors() const;

 private:
  Artifact() = default;
  Status ReadDescription(std::span<const uint8_t> description);
  Status ReadStreams(std::span<const uint8_t> bytes);
  void DequantiseAll();

  std::vector<uint8_t> program_bytes_;
  TokenizerInfo tokenizer_;
  Provenance provenance_;
  std::string sha256_, content_hash_;
  uint64_t file_bytes_ = 0, description_bytes_ = 0;
  std::vector<ArtifactTensor> table_;
  std::vector<ArtifactStream> streams_;
  std::vector<EncodedTensor> encoded_;
  std::vector<std::unique_ptr<float[]>> weights_;
};

}  // namespace golf
