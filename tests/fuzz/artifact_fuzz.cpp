// Forms: 0 a whole file; 1 the description's bytes (their count, 16 bits, before them) and the streams of a file; 2 tensors,
// built into a file that is right but for one thing at most. Content hash and frame checksums always fit.
#include <cmath>
#include <set>

#include "artifact/artifact.h"
#include "artifact/artifact_layout.h"
#include "artifact/sha256.h"
#include "kernels/base/check.h"
#include "schemas/artifact_generated.h"
#include "tests/fuzz/fuzz_targets.h"
#include "tests/fuzz/input_reader.h"
#include "tests/fuzz/zstd_frame.h"

namespace golf::test {
namespace {

using Bytes = std::vector<uint8_t>;

void Append(Bytes& to, std::span<const uint8_t> bytes) {
  to.insert(to.end(), bytes.begin(), bytes.end());
}

void AppendContentHash(Bytes& file) {
  const Sha256Digest digest = Sha256::Of(file);
  Append(file, digest);
}

Bytes Assemble(std::span<const uint8_t> description, std::span<const uint8_t> streams) {
  const Bytes frame = RawFrame(description);
  ArtifactHeader header;
  header.description_encoded_bytes = static_cast<uint32_t>(frame.size());
  header.description_decoded_bytes = static_cast<uint32_t>(description.size());
  Bytes file(sizeof(header));
  std::memcpy(file.data(), &header, sizeof(header));
  Append(file, frame);
  Append(file, streams);
  AppendContentHash(file);
  return file;
}

// What every accepted file keeps.
void CheckAccepted(const Artifact& artifact) {
  std::set<std::string_view> names;
  const std::vector<TensorView> tensors = artifact.tensors();
  GOLF_CHECK(tensors.size() == artifact.table().size());
  for (const TensorView& t : tensors) {
    GOLF_CHECK(names.insert(t.name).second);
    GOLF_CHECK(t.data.size() == ElementCount(t.shape) && !t.data.empty());
    for (const float x : t.data) GOLF_CHECK(std::isfinite(x));
  }
  const ByteTable& bytes = artifact.byte_table();
  GOLF_CHECK(bytes.size() > 0 && bytes.leading_space.size() == bytes.size() &&
             bytes.boundary.size() == bytes.size());
}

void Read(Bytes file) {
  const auto artifact = Artifact::Parse(std::move(file));
  if (artifact.ok()) CheckAccepted(*artifact);
}

void WholeFile(InputReader& in) {
  Bytes file = in.Rest();
  ArtifactHeader header;
  if (file.size() < sizeof(header)) return Read(file);
  std::memcpy(&header, file.data(), sizeof(header));
  const auto rest = std::span(file).subspan(sizeof(header));
  RepairChecksum(rest.first(std::min<size_t>(header.description_encoded_bytes, rest.size())));
  AppendContentHash(file);
  Read(std::move(file));
}

void DescriptionAndStreams(InputReader& in) {
  const Bytes description = in.Bytes(in.Value<uint16_t>());
  Bytes streams = in.Rest();
  flatbuffers::Verifier verifier(description.data(), description.size(), 8, 1 << 17);
  if (schema::VerifyArtifactBuffer(verifier)) {
    std::span<uint8_t> rest(streams);
    for (const schema::Stream* s : *schema::GetArtifact(description.data())->streams()) {
      const auto frame = rest.first(std::min<size_t>(s->encoded_bytes(), rest.size()));
      RepairChecksum(frame);
      rest = rest.subspan(frame.size());
    }
  }
  Read(Assemble(description, streams));
}

// An artifact as its parts, with a stream's elements not yet in planes.
struct Parts {
  schema::ArtifactT root;
  std::vector<Bytes> streams;
  std::vector<Bytes> data, scales;  // of each tensor

  // The stream that takes elements of this width: the one the input names, or a new one.
  uint16_t Stream(InputReader& in, size_t width) {
    const size_t named = in.Below(8);
    if (named < streams.size() && root.streams[named]->element_bytes == width)
      return static_cast<uint16_t>(named);
    root.streams.push_back(std::make_unique<schema::StreamT>());
    root.streams.back()->element_bytes = static_cast<uint8_t>(width);
    streams.emplace_back();
    return static_cast<uint16_t>(streams.size() - 1);
  }
};

// A float of the given width with an exponent that leaves it finite, and so a product with any code.
uint32_t Number(InputReader& in, size_t width, bool positive) {
  if (width == 2) {
    uint16_t half = in.Value<uint16_t>();
    if ((half & 0x7c00) == 0x7c00) half &= 0x83ff;
    if (positive) half = static_cast<uint16_t>(std::max(half & 0x7fff, 1));
    return half;
  }
  uint32_t single = in.Value<uint32_t>();
  if ((single & 0x7f800000U) >= 0x7a000000U) single &= 0x807fffffU;
  if (positive) single = std::max(single & 0x7fffffffU, 1U);
  return single;
}

void AddTensor(InputReader& in, Parts& parts) {
  auto tensor = std::make_unique<schema::TensorT>();
  tensor->name = "t" + std::to_string(parts.root.tensors.size());
  size_t count = 1;
  for (uint32_t d = in.Below(kMaxTensorDimensions + 1); d > 0; --d) {
    tensor->shape.push_back(1 + in.Below(6));
    count *= tensor->shape.back();
  }
  tensor->encoding = static_cast<uint16_t>(in.Below(parts.root.encodings.size()));
  const schema::EncodingT& e = *parts.root.encodings[tensor->encoding];
  const bool codes = e.storage == schema::Storage::Codes;
  const size_t width = codes ? 1 : e.storage == schema::Storage::Float16 ? 2 : 4;
  Bytes data, scales;
  for (size_t i = 0; i < count; ++i) {
    const int range = e.highest - e.lowest + 1;
    AppendLittleEndian(
        data,
        codes ? static_cast<uint32_t>(e.lowest + in.Byte() % range) : Number(in, width, false),
        width);
  }
  tensor->data_stream = parts.Stream(in, width);
  Append(parts.streams[tensor->data_stream], data);
  if (codes) {
    const bool rows = e.scale_axis == schema::ScaleAxis::Row && !tensor->shape.empty();
    const size_t scale_width = e.scale_type == schema::ScaleType::Float32 ? 4 : 2;
    for (size_t i = rows ? tensor->shape[0] : 1; i > 0; --i)
      AppendLittleEndian(scales, Number(in, scale_width, true), scale_width);
    tensor->scale_stream = parts.Stream(in, scale_width);
    Append(parts.streams[tensor->scale_stream], scales);
  }
  parts.data.push_back(std::move(data));
  parts.scales.push_back(std::move(scales));
  parts.root.tensors.push_back(std::move(tensor));
}

Parts BuildParts(InputReader& in) {
  Parts parts;
  parts.root.program = in.Bytes(in.Byte());
  parts.root.tokenizer = std::make_unique<schema::TokenizerT>();
  parts.root.tokenizer->sha256.assign(32, 7);
  for (uint32_t i = 0; i <= in.Below(4); ++i) {
    parts.root.tokenizer->bytes.push_back(in.Value<uint16_t>());
    parts.root.tokenizer->flags.push_back(in.Byte() % 4);
  }
  for (uint32_t i = in.Below(4) + 1; i > 0; --i) {
    auto e = std::make_unique<schema::EncodingT>();
    e->storage = static_cast<schema::Storage>(in.Below(3));
    e->lowest = static_cast<int8_t>(-static_cast<int>(in.Below(129)));
    e->highest = static_cast<int8_t>(in.Below(128));
    e->scale_type = static_cast<schema::ScaleType>(in.Below(2));
    e->scale_axis = static_cast<schema::ScaleAxis>(in.Below(2));
    parts.root.encodings.push_back(std::move(e));
  }
  for (uint32_t i = in.Below(6) + 1; i > 0; --i) AddTensor(in, parts);
  return parts;
}

// One thing that is wrong; false if there is none.
bool Damage(InputReader& in, Parts& parts) {
  schema::ArtifactT& root = parts.root;
  schema::TensorT& tensor = *root.tensors[in.Below(root.tensors.size())];
  schema::EncodingT& encoding = *root.encodings[in.Below(root.encodings.size())];
  schema::StreamT& stream = *root.streams[in.Below(root.streams.size())];
  Bytes& content = parts.streams[in.Below(parts.streams.size())];
  switch (in.Below(16)) {
    case 1:
      tensor.name = in.Text(in.Byte());
      break;
    case 2:
      tensor.shape.push_back(in.Value<uint32_t>());
      break;
    case 3:
      tensor.shape = {in.Value<uint32_t>(), in.Value<uint32_t>()};
      break;
    case 4:
      tensor.encoding = in.Value<uint16_t>();
      break;
    case 5:
      tensor.data_stream = in.Value<uint16_t>();
      break;
    case 6:
      tensor.scale_stream = in.Value<uint16_t>();
      break;
    case 7:
      encoding.storage = static_cast<schema::Storage>(in.Byte());
      break;
    case 8:
      encoding.scale_type = static_cast<schema::ScaleType>(in.Byte());
      break;
    case 9:
      encoding.scale_axis = static_cast<schema::ScaleAxis>(in.Byte());
      break;
    case 10:
      encoding.lowest = in.Value<int8_t>();
      break;
    case 11:
      encoding.highest = in.Value<int8_t>();
      break;
    case 12:
      stream.element_bytes = in.Byte();
      break;
    case 13:
      stream.coder_version = in.Byte();
      break;
    case 14:
      content[in.Byte() % content.size()] = in.Byte();
      break;
    case 15:
      content.resize(in.Value<uint16_t>() % 4096);
      break;
    default:
      return false;
  }
  return true;
}

Bytes InPlanes(const Bytes& elements, size_t width) {
  const size_t n = elements.size() / width;
  Bytes planes;
  for (size_t plane = width; plane-- > 0;) {
    for (size_t i = 0; i < n; ++i) planes.push_back(elements[i * width + plane]);
  }
  return planes;
}

void Tensors(InputReader& in) {
  Parts parts = BuildParts(in);
  const bool damaged = Damage(in, parts);
  Bytes streams;
  for (size_t i = 0; i < parts.streams.size(); ++i) {
    schema::StreamT& stream = *parts.root.streams[i];
    const size_t width = std::max<size_t>(stream.element_bytes, 1);
    const Bytes frame = RawFrame(InPlanes(parts.streams[i], width));
    stream.encoded_bytes = static_cast<uint32_t>(frame.size());
    Append(streams, frame);
  }
  if (damaged && in.Rarely()) parts.root.streams[0]->encoded_bytes = in.Value<uint32_t>();
  flatbuffers::FlatBufferBuilder builder;
  schema::FinishArtifactBuffer(builder, schema::Artifact::Pack(builder, &parts.root));
  Bytes file = Assemble({builder.GetBufferPointer(), builder.GetSize()}, streams);
  if (damaged) return Read(std::move(file));

  const auto artifact = Artifact::Parse(std::move(file));
  GOLF_CHECK(artifact.ok());
  CheckAccepted(*artifact);
  for (size_t i = 0; i < parts.data.size(); ++i) {
    GOLF_CHECK(artifact->encoded()[i].data == parts.data[i]);
    GOLF_CHECK(artifact->encoded()[i].scales == parts.scales[i]);
  }
}

}  // namespace

void FuzzArtifact(std::span<const uint8_t> input) {
  InputReader in(input);
  switch (in.Below(3)) {
    case 0:
      return WholeFile(in);
    case 1:
      return DescriptionAndStreams(in);
    default:
      return Tensors(in);
  }
}

}  // namespace golf::test
