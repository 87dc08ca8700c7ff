// Artifacts that are damaged, or made by someone who wants the reader to fail.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>
#include <zstd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <functional>

#include "artifact/artifact.h"
#include "tests/artifact/artifact_parts.h"
#include "tests/artifact/samples.h"

namespace golf::test {
namespace {

Status Verdict(Bytes bytes) { return Artifact::Parse(std::move(bytes)).status(); }

void ExpectRefused(Bytes bytes, const std::string& what) {
  EXPECT_EQ(Verdict(std::move(bytes)).code(), Code::kBadData) << what;
}

Bytes ZstdFrame(const Bytes& content, const std::function<void(ZSTD_CCtx*)>& configure) {
  ZSTD_CCtx* context = ZSTD_createCCtx();
  configure(context);
  Bytes frame(ZSTD_compressBound(content.size()));
  frame.resize(ZSTD_compress2(context, frame.data(), frame.size(), content.data(), content.size()));
  ZSTD_freeCCtx(context);
  return frame;
}

TEST(ArtifactReader, AcceptsTheSampleTakenApartAndPutTogether) {
  const Status status = Verdict(PutTogether(TakeApart(TinyArtifact())));
  EXPECT_TRUE(status.ok()) << status.message();
}

TEST(ArtifactReader, AcceptsAProvenanceThatSaysNothing) {
  Parts parts = TakeApart(TinyArtifact());
  *parts.root.provenance = {};
  const auto silent = Artifact::Parse(PutTogether(parts));
  ASSERT_TRUE(silent.ok()) << silent.status().message();
  EXPECT_EQ(silent->provenance(), Provenance());
  parts.root.provenance.reset();
  EXPECT_TRUE(Verdict(PutTogether(parts)).ok());
}

TEST(ArtifactReader, RefusesEveryTruncation) {
  const Bytes file = TinyArtifact();
  for (size_t n = 0; n < file.size(); ++n)
    ExpectRefused({file.begin(), file.begin() + static_cast<ptrdiff_t>(n)}, "prefix");
}

TEST(ArtifactReader, RefusesEverySingleBitFlip) {
  const Bytes file = TinyArtifact();
  ASSERT_LE(file.size(), 4096U);
  for (size_t bit = 0; bit < 8 * file.size(); ++bit) {
    Bytes flipped = file;
    flipped[bit / 8] ^= static_cast<uint8_t>(1U << bit % 8);
    ExpectRefused(std::move(flipped), "bit " + std::to_string(bit));
  }
}

// The same with the hash made to fit. A few padding bits of zstd's entropy tables mean nothing; with those the file must
// still mean what it meant.
TEST(ArtifactReader, SurvivesEverySingleBitFlipWithAFittingHash) {
  const Bytes file = TinyArtifact();
  const auto original = Artifact::Parse(file);
  ASSERT_TRUE(original.ok());
  size_t accepted = 0;
  for (size_t bit = 0; bit < 8 * (file.size() - kContentHashBytes); ++bit) {
    Bytes flipped = file;
    flipped[bit / 8] ^= static_cast<uint8_t>(1U << bit % 8);
    const auto artifact = Artifact::Parse(Rehash(std::move(flipped)));
    if (!artifact.ok()) continue;
    ++accepted;
    EXPECT_EQ(artifact->encoded(), original->encoded()) << "bit " << bit;
    EXPECT_EQ(artifact->tokenizer(), original->tokenizer()) << "bit " << bit;
    EXPECT_TRUE(std::ranges::equal(artifact->program_bytes(), original->program_bytes()))
        << "bit " << bit;
  }
  EXPECT_LT(accepted, 40U);
}

TEST(ArtifactReader, RefusesAppendedBytes) {
  const Bytes file = TinyArtifact();
  for (size_t n = 1; n <= 64; ++n) {
    Bytes longer = file;
    longer.resize(file.size() + n);
    ExpectRefused(longer, "appended");
    Parts parts = TakeApart(file);
    parts.appended.resize(n);
    ExpectRefused(PutTogether(parts), "appended, with a fitting hash");
  }
}

TEST(ArtifactReader, RefusesSplicedFiles) {
  const Bytes a = TinyArtifact();
  const Bytes b = Serialise(Encode(SampleNetwork(), *FindPacking("pr598")));
  for (size_t cut = 16; cut < a.size(); cut += 7) {
    Bytes spliced(a.begin(), a.begin() + static_cast<ptrdiff_t>(cut));
    spliced.insert(spliced.end(), b.begin() + static_cast<ptrdiff_t>(cut), b.end());
    ExpectRefused(spliced, "spliced");
    ExpectRefused(Rehash(spliced), "spliced, with a fitting hash");
  }
}

struct Tampering {
  const char* name;
  std::function<void(Parts&)> apply;
};

class ArtifactTampering : public testing::TestWithParam<Tampering> {};

TEST_P(ArtifactTampering, IsRefused) {
  Parts parts = TakeApart(TinyArtifact());
  GetParam().apply(parts);
  const Status status = Verdict(PutTogether(parts));
  EXPECT_EQ(status.code(), Code::kBadData) << status.message();
}

const Tampering kTamperings[] = {
    {"SectionTwice", [](Parts& p) { p.streams.push_back(p.streams[0]); }},
    {"SectionTwiceInTheDescriptionToo",
     [](Parts& p) {
       p.streams.push_back(p.streams[0]);
       p.root.streams.push_back(std::make_unique<schema::StreamT>(*p.root.streams[0]));
     }},
    {"SectionMissing", [](Parts& p) { p.streams.pop_back(); }},
    {"SectionsSwapped", [](Parts& p) { std::swap(p.streams[0], p.streams[1]); }},
    {"StreamLongerThanTheFile", [](Parts& p) { p.root.streams[0]->encoded_bytes = 0xffffffff; }},
    {"StreamIndexOutOfRange", [](Parts& p) { p.root.tensors[0]->data_stream = 999; }},
    {"ScaleStreamIndexOutOfRange", [](Parts& p) { p.root.tensors[0]->scale_stream = 999; }},
    {"TensorInAStreamOfAnotherWidth",
     [](Parts& p) { std::swap(p.root.tensors[0]->data_stream, p.root.tensors[1]->data_stream); }},
    {"TwoTensorsOnOneRange",
     [](Parts& p) {
       p.root.tensors.push_back(std::make_unique<schema::TensorT>(*p.root.tensors[0]));
       p.root.tensors.back()->name = "x";
     }},
    {"NameTwice", [](Parts& p) { p.root.tensors[1]->name = p.root.tensors[0]->name; }},
    {"NameEmpty", [](Parts& p) { p.root.tensors[0]->name.clear(); }},
    {"NameTooLong", [](Parts& p) { p.root.tensors[0]->name.assign(257, 'x'); }},
    {"DimensionZero", [](Parts& p) { p.root.tensors[0]->shape[0] = 0; }},
    {"TooManyDimensions",
     [](Parts& p) {
       p.root.tensors[0]->shape = {1, 1, 1, 12, 8};
     }},
    {"ShapeNear2To63",
     [](Parts& p) {
       p.root.tensors[0]->shape = {0x7fffffff, 0xffffffff};
     }},
    {"ShapeThatWrapsAround",
     [](Parts& p) {
       p.root.tensors[0]->shape = {0x80000000, 0x80000000, 4, 96};
     }},
    {"ShapeOfAGibibyte",
     [](Parts& p) {
       p.root.tensors[0]->shape = {1 << 15, 1 << 15};
     }},
    {"EncodingIndexOutOfRange", [](Parts& p) { p.root.tensors[0]->encoding = 77; }},
    {"EncodingUnknown",
     [](Parts& p) { p.root.encodings[0]->storage = static_cast<schema::Storage>(9); }},
    {"ScaleTypeUnknown",
     [](Parts& p) { p.root.encodings[0]->scale_type = static_cast<schema::ScaleType>(9); }},
    {"ScaleAxisUnknown",
     [](Parts& p) { p.root.encodings[0]->scale_axis = static_cast<schema::ScaleAxis>(9); }},
    {"RangeWithoutZero", [](Parts& p) { p.root.encodings[0]->lowest = 1; }},
    {"RangeBelowZero", [](Parts& p) { p.root.encodings[0]->highest = -1; }},
    {"CodeBelowItsRange", [](Parts& p) { p.root.encodings[0]->lowest = -1; }},
    {"CodeAboveItsRange", [](Parts& p) { p.root.encodings[0]->highest = 1; }},
    {"CoderUnknown", [](Parts& p) { p.root.streams[0]->coder = static_cast<schema::Coder>(3); }},
    {"CoderVersionUnknown", [](Parts& p) { p.root.streams[0]->coder_version = 2; }},
    {"ElementWidthZero", [](Parts& p) { p.root.streams[0]->element_bytes = 0; }},
    {"ElementWidthThree", [](Parts& p) { p.root.streams[0]->element_bytes = 3; }},
    {"ScaleInfinite",
     [](Parts& p) {
       SetStream(p, 1, EncodeStream(Bytes{0x00, 0x7c}, 2, 3));
       p.root.tensors.erase(p.root.tensors.begin() + 2);
     }},
    {"TokenizerDigestTooShort", [](Parts& p) { p.root.tokenizer->sha256.pop_back(); }},
    {"TokenizerListsOfDifferentLength", [](Parts& p) { p.root.tokenizer->flags.pop_back(); }},
    {"TokenizerUnknownFlag", [](Parts& p) { p.root.tokenizer->flags[0] = 4; }},
    {"TokenizerWithoutPieces",
     [](Parts& p) {
       p.root.tokenizer->flags.clear();
       p.root.tokenizer->bytes.clear();
     }},
    {"TooManyEncodings",
     [](Parts& p) {
       for (int i = 0; i < 300; ++i)
         p.root.encodings.push_back(std::make_unique<schema::EncodingT>());
     }},
    {"TooManyStreams",
     [](Parts& p) {
       for (size_t i = 0; i < kMaxStreams; ++i)
         p.root.streams.push_back(std::make_unique<schema::StreamT>(*p.root.streams[0]));
     }},
    {"TooManyTensors",
     [](Parts& p) {
       for (size_t i = 0; i < kMaxTensors; ++i)
         p.root.tensors.push_back(std::make_unique<schema::TensorT>(*p.root.tensors[0]));
     }},
    {"TokenizerTooLarge",
     [](Parts& p) {
       p.root.tokenizer->flags.resize((1 << 18) + 1);
       p.root.tokenizer->bytes.resize((1 << 18) + 1);
     }},
};

INSTANTIATE_TEST_SUITE_P(ArtifactReader, ArtifactTampering, testing::ValuesIn(kTamperings),
                         [](const auto& tampering) { return tampering.param.name; });

TEST(ArtifactReader, RefusesAScaleThatMakesAWeightInfinite) {
  const float scale = 1e37F;
  EncodedTensor tensor{
      "t", {2}, {Storage::kCodes, -128, 127, ScaleType::kFloat32}, {1, 0x80}, Bytes(4)};
  std::memcpy(tensor.scales.data(), &scale, sizeof(scale));
  EXPECT_EQ(CheckEncodedTensor(tensor).code(), Code::kBadData);  // -128 * 1e37
  tensor.data[1] = 0xf0;
  EXPECT_TRUE(CheckEncodedTensor(tensor).ok());  // -16 * 1e37
  for (const float bad : {0.0F, -1.0F, NAN, INFINITY}) {
    std::memcpy(tensor.scales.data(), &bad, sizeof(bad));
    EXPECT_EQ(CheckEncodedTensor(tensor).code(), Code::kBadData) << bad;
  }
}

// A file may say so, although our quantisers do not.
TEST(ArtifactReader, AScalarWithAStepPerRowHasOne) {
  const Encoding per_row{Storage::kCodes, -1, 1, ScaleType::kFloat32, ScaleAxis::kRow};
  EXPECT_EQ(per_row.scale_count({}), 1U);
  EXPECT_EQ(ToString(per_row), "codes -1..1 per row, fp32 scale");
}

// Narrow codes are bytes too: one beyond its range is refused, however narrow that is, and whatever the stream holds.
TEST(ArtifactReader, RefusesCodesBeyondANarrowRange) {
  for (const int highest : {2, 7, 15, 31, 127}) {
    SampleTensors network;
    network.Add("blocks.0.mlp.fc.weight", {80, 64});  // a stream of its own
    const Packing packing{
        "narrow", {{PackingRule().max_elements, {}, quantisers::BestRows(-highest, highest)}}};
    const std::vector<EncodedTensor> good = Encode(network, packing);
    EXPECT_TRUE(Verdict(Serialise(good)).ok()) << highest;
    for (int code = -128; code <= 127; ++code) {
      std::vector<EncodedTensor> tampered = good;
      tampered[0].data[static_cast<size_t>(code + 128) * 17] =
          static_cast<uint8_t>(static_cast<int8_t>(code));
      const bool within = -highest <= code && code <= highest;
      EXPECT_EQ(Verdict(Serialise(tampered, 1)).ok(), within) << code << " of " << highest;
    }
  }
}

// Stream 0 of the sample holds the codes of both matrices: 12 * 8 + 24 * 8 bytes.
constexpr size_t kCodes = 12 * 8 + 24 * 8;

TEST(ArtifactReader, RefusesFramesOfAnyOtherForm) {
  const auto with = [](const std::function<void(ZSTD_CCtx*)>& configure) {
    Parts parts = TakeApart(TinyArtifact());
    SetStream(parts, 0, ZstdFrame(Bytes(kCodes), configure));
    return Verdict(PutTogether(parts));
  };
  const auto set = [](ZSTD_CCtx* c, ZSTD_cParameter p, int v) { ZSTD_CCtx_setParameter(c, p, v); };
  EXPECT_TRUE(with([&](ZSTD_CCtx* c) { set(c, ZSTD_c_checksumFlag, 1); }).ok());
  EXPECT_FALSE(with([&](ZSTD_CCtx*) {}).ok()) << "no checksum";
  EXPECT_FALSE(with([&](ZSTD_CCtx* c) {
                 set(c, ZSTD_c_checksumFlag, 1);
                 set(c, ZSTD_c_contentSizeFlag, 0);
               }).ok())
      << "no content size";
}

TEST(ArtifactReader, RefusesAbsurdWindowsSkippableFramesAndEmptyStreams) {
  Parts parts = TakeApart(TinyArtifact());
  Bytes frame = parts.streams[0];
  frame[4] &= 0xdf;  // no longer a single segment:
  frame.insert(frame.begin() + 5,
               uint8_t{0xff});  // the largest window there is, 2^41 * 1.875 bytes
  SetStream(parts, 0, frame);
  ExpectRefused(PutTogether(parts), "window");
  SetStream(parts, 0, {0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0});
  ExpectRefused(PutTogether(parts), "skippable frame");
  SetStream(parts, 0, {});
  ExpectRefused(PutTogether(parts), "empty");
}

TEST(ArtifactReader, RefusesAStreamThatDecodesToMoreOrLess) {
  for (const size_t bytes : {kCodes - 1, kCodes + 1, 2 * kCodes}) {
    Parts parts = TakeApart(TinyArtifact());
    SetStream(parts, 0, EncodeStream(Bytes(bytes), 1, 3));
    ExpectRefused(PutTogether(parts), std::to_string(bytes));
  }
}

constexpr size_t kGibibyte = size_t{1} << 30;

// 33 KB that decompress to 1 GiB. Hand-made: 8192 RLE blocks of 128 KiB; nobody needs the gibibyte to write it.
Bytes BombFrame() {
  Bytes frame = {0x28, 0xb5, 0x2f, 0xfd, 2 << 6 | 1 << 5 | 1 << 2, 0, 0, 0, 0x40};
  for (size_t i = 0; i < kGibibyte >> 17; ++i) {
    const uint32_t block = (1U << 17) << 3 | 1U << 1 | (i + 1 == kGibibyte >> 17 ? 1U : 0U);
    for (const uint32_t byte : {block, block >> 8, block >> 16, 0U})
      frame.push_back(static_cast<uint8_t>(byte));
  }
  frame.insert(frame.end(), 4, 0);
  return frame;
}

// The bomb as a stream whose tensors need less, as one whose tensor claims all of it, and as the description.
std::vector<Bytes> Bombs() {
  const Bytes frame = BombFrame();
  std::vector<Bytes> files;
  Parts parts = TakeApart(TinyArtifact());
  SetStream(parts, 0, frame);
  files.push_back(PutTogether(parts));
  parts.root.tensors[0]->shape = {static_cast<uint32_t>(kGibibyte - 24 * 8)};
  files.push_back(PutTogether(parts));

  ArtifactHeader header;
  header.description_encoded_bytes = static_cast<uint32_t>(frame.size());
  header.description_decoded_bytes = kGibibyte;
  const auto* raw = reinterpret_cast<const uint8_t*>(&header);
  Bytes file(raw, raw + sizeof(header));
  file.insert(file.end(), frame.begin(), frame.end());
  file.resize(file.size() + kContentHashBytes);
  files.push_back(Rehash(file));
  return files;
}

TEST(ArtifactReader, RefusesABomb) {
  const Bytes frame = BombFrame();
  ASSERT_EQ(ZSTD_getFrameContentSize(frame.data(), frame.size()), kGibibyte);
  ASSERT_EQ(ZSTD_findFrameCompressedSize(frame.data(), frame.size()), frame.size());
  for (const Bytes& bomb : Bombs()) ExpectRefused(bomb, "bomb");
}

// What a hostile file may cost: 64 MB more than the process had (asked of the kernel, so that an allocation beyond ends the
// process) and 50 ms of CPU. Runs in a process of its own. Exit codes: 0, 1 a file was accepted, 2 too slow.
[[noreturn]] void SpendAtMostOn(const std::vector<Bytes>& files) {
#ifdef GOLF_SANITIZE  // its shadow memory is far larger than any limit
  constexpr double kSeconds = 1;
#else
  constexpr double kSeconds = 0.05;
  std::ifstream statm("/proc/self/statm");
  rlim_t pages = 0;
  statm >> pages;
  const rlim_t limit = pages * static_cast<rlim_t>(::sysconf(_SC_PAGESIZE)) + (64U << 20);
  const rlimit address_space{limit, limit};
  if (::setrlimit(RLIMIT_AS, &address_space) != 0) std::_Exit(3);
#endif
  for (const Bytes& file : files) {
    Bytes copy = file;
    const std::clock_t start = std::clock();
    const Status status = Verdict(std::move(copy));
    const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
    if (status.code() != Code::kBadData) std::_Exit(1);
    if (seconds > kSeconds) std::_Exit(2);
  }
  std::_Exit(0);
}

TEST(ArtifactReaderDeathTest, SpendsLittleOnHostileFiles) {
  testing::GTEST_FLAG(death_test_style) = "threadsafe";
  std::vector<Bytes> files = Bombs();
  for (const Tampering& tampering : kTamperings) {
    Parts parts = TakeApart(TinyArtifact());
    tampering.apply(parts);
    files.push_back(PutTogether(parts));
  }
  Bytes longer = TinyArtifact();
  longer.resize(longer.size() + 64);
  files.push_back(longer);
  EXPECT_EXIT(SpendAtMostOn(files), testing::ExitedWithCode(0), "");
}

TEST(ArtifactReader, RefusesADescriptionOfGarbage) {
  std::mt19937 random(5);
  for (int i = 0; i < 2000; ++i) {
    Bytes description(random() % 300 + 8);
    for (uint8_t& b : description)
      b = static_cast<uint8_t>(random() % 8 == 0 ? random() : random() % 40);
    std::memcpy(&description[4], "GOLA", 4);
    const Bytes frame = EncodeStream(description, 1, 1);
    ArtifactHeader header;
    header.description_encoded_bytes = static_cast<uint32_t>(frame.size());
    header.description_decoded_bytes = static_cast<uint32_t>(description.size());
    const auto* raw = reinterpret_cast<const uint8_t*>(&header);
    Bytes file(raw, raw + sizeof(header));
    file.insert(file.end(), frame.begin(), frame.end());
    file.resize(file.size() + kContentHashBytes);
    ExpectRefused(Rehash(file), "garbage");
  }
}

}  // namespace
}  // namespace golf::test
