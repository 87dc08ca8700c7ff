// The semantic pass over an artifact's description. What the FlatBuffers verifier leaves open (indices, shapes, ranges,
// names, totals) is decided here, before any stream is touched.
#include <unordered_set>

#include "artifact/artifact.h"
#include "artifact/artifact_layout.h"
#include "schemas/artifact_generated.h"

namespace golf {
namespace {

Status Bad(const std::string& why) { return {Code::kBadData, why}; }

Result<Encoding> ReadEncoding(const schema::Encoding& table) {
  if (table.storage() > schema::Storage::Codes || table.scale_type() > schema::ScaleType::Float32 ||
      table.scale_axis() > schema::ScaleAxis::Row) {
    return Bad("an encoding of an unknown kind; use a newer golf");
  }
  if (table.lowest() > 0 || table.highest() < 0) return Bad("an encoding whose codes lack 0");
  return Encoding{static_cast<Storage>(table.storage()), table.lowest(), table.highest(),
                  static_cast<ScaleType>(table.scale_type()),
                  static_cast<ScaleAxis>(table.scale_axis())};
}

Result<ArtifactStream> ReadStream(const schema::Stream& table) {
  if (table.coder() != schema::Coder::Zstd || table.coder_version() != kStreamCoderVersion) {
    return Bad("a stream of an unknown coder; use a newer golf");
  }
  const size_t width = table.element_bytes();
  if (width != 1 && width != 2 && width != 4)
    return Bad("a stream with elements of " + std::to_string(width) + " bytes");
  return ArtifactStream{width, table.encoded_bytes(), 0};
}

Result<ArtifactTensor> ReadTensor(const schema::Tensor& table,
                                  const std::vector<Encoding>& encodings) {
  ArtifactTensor tensor{};
  if (table.name()->size() == 0 || table.name()->size() > kMaxTensorNameBytes) {
    return Bad("a tensor whose name is empty or longer than " +
               std::to_string(kMaxTensorNameBytes) + " bytes");
  }
  tensor.name = table.name()->str();
  const auto bad = [&](const std::string& why) {
    return Bad("tensor '" + tensor.name + "': " + why);
  };
  if (table.shape() != nullptr) {
    if (table.shape()->size() > kMaxTensorDimensions) return bad("too many dimensions");
    tensor.shape.assign(table.shape()->begin(), table.shape()->end());
  }
  uint64_t count = 1;  // below 2^31 before every multiplication by less than 2^32: no overflow
  for (const uint32_t d : tensor.shape) {
    count *= d;
    if (count == 0 || count > kMaxArtifactBytes) return bad("its shape is out of range");
  }
  tensor.element_count = count;
  if (table.encoding() >= encodings.size())
    return bad("there is no encoding " + std::to_string(table.encoding()));
  tensor.encoding = encodings[table.encoding()];
  tensor.data_stream = table.data_stream();
  tensor.scale_stream = table.scale_stream();
  return tensor;
}

// Adds elements to the stream that holds them, if there is one of the right width.
Status AddElements(std::vector<ArtifactStream>& streams, size_t index, size_t width, size_t count) {
  if (index >= streams.size()) return Bad("there is no stream " + std::to_string(index));
  if (streams[index].element_bytes != width)
    return Bad("stream " + std::to_string(index) + " has elements of another width");
  streams[index].element_count += count;
  return {};
}

}  // namespace

Status Artifact::ReadDescription(std::span<const uint8_t> description) {
  // Tables may be referred to more than once; the limit bounds the time that verifying can take.
  static constexpr int kMaxDepth = 8;
  static constexpr size_t kMaxTables = 4 * kMaxTensors + 4 * kMaxStreams;
  flatbuffers::Verifier verifier(description.data(), description.size(), kMaxDepth, kMaxTables);
  if (!schema::VerifyArtifactBuffer(verifier)) return Bad("the description is malformed");
  const schema::Artifact& root = *schema::GetArtifact(description.data());
  if (root.encodings()->size() > kMaxEncodings || root.streams()->size() > kMaxStreams ||
      root.tensors()->size() > kMaxTensors) {
    return Bad("too many encodings, streams or tensors");
  }

  program_bytes_.assign(root.program()->begin(), root.program()->end());
  GOLF_ASSIGN(tokenizer_, UnpackTokenizerInfo(*root.tokenizer()));
  std::vector<Encoding> encodings;
  for (const schema::Encoding* e : *root.encodings()) {
    GOLF_ASSIGN(Encoding encoding, ReadEncoding(*e));
    encodings.push_back(encoding);
  }
  for (const schema::Stream* s : *root.streams()) {
    GOLF_ASSIGN(ArtifactStream stream, ReadStream(*s));
    streams_.push_back(stream);
  }
  std::unordered_set<std::string> names;
  uint64_t decoded_bytes = 0;
  const uint64_t limit = MaxDecodedBytes(file_bytes_);
  for (const schema::Tensor* t : *root.tensors()) {
    GOLF_ASSIGN(ArtifactTensor tensor, ReadTensor(*t, encodings));
    const auto bad = [&](const std::string& why) {
      return Bad("tensor '" + tensor.name + "': " + why);
    };
    if (!names.insert(tensor.name).second) return bad("stands there twice");
    const size_t scales = tensor.encoding.scale_count(tensor.shape);
    decoded_bytes += tensor.element_count * tensor.encoding.element_bytes() +
                     scales * tensor.encoding.scale_bytes();
    if (decoded_bytes > limit) {
      return bad("the tensors need more than " + std::to_string(limit) +
                 " bytes, which a file of " + std::to_string(file_bytes_) + " bytes cannot mean");
    }
    Status added = AddElements(streams_, tensor.data_stream, tensor.encoding.element_bytes(),
                               tensor.element_count);
    if (added.ok() && scales > 0) {
      added = AddElements(streams_, tensor.scale_stream, tensor.encoding.scale_bytes(), scales);
    }
    if (!added.ok()) return bad(added.message());
    table_.push_back(std::move(tensor));
  }
  for (const ArtifactStream& s : streams_) {
    if (s.element_count == 0) return Bad("a stream that belongs to no tensor");
  }
  if (root.provenance() != nullptr) {
    const auto text = [](const flatbuffers::String* s) {
      return s == nullptr ? std::string() : s->str();
    };
    const schema::Provenance& p = *root.provenance();
    provenance_ = {text(p.producer()), text(p.packing()), text(p.weights()), p.step()};
    GOLF_ASSIGN(provenance_.training_shards, UnpackShards(p.training_shards()));
    GOLF_ASSIGN(provenance_.calibration_shards, UnpackShards(p.calibration_shards()));
  }
  return {};
}

}  // namespace golf
