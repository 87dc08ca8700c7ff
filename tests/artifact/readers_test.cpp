// The small readers: safetensors, token shards, tokenizer models, hashes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <filesystem>
#include <random>

#include "artifact/byte_table.h"
#include "artifact/file.h"
#include "artifact/safetensors.h"
#include "artifact/sha256.h"
#include "artifact/sha256_compress.h"
#include "artifact/token_shard.h"
#include "tests/support/temp_folder.h"

namespace golf::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(Sha256, MatchesThePublishedVectors) {
  EXPECT_EQ(ToHex(Sha256::Of({})),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(ToHex(Sha256::Of(AsBytes("abc"))),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(ToHex(Sha256::Of(AsBytes(std::string(1000000, 'a')))),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, DoesNotDependOnHowTheBytesArrive) {
  const std::string text(1000, 'q');
  for (const size_t piece : {1, 7, 55, 56, 63, 64, 65, 500}) {
    Sha256 hash;
    for (size_t i = 0; i < text.size(); i += piece)
      hash.Update(AsBytes(text).subspan(i, std::min(piece, text.size() - i)));
    EXPECT_EQ(hash.Finish(), Sha256::Of(AsBytes(text))) << piece;
  }
}

// The instructions of this CPU, if it has them, and the portable form.
TEST(Sha256, EveryFormOfTheCompressionFunctionGivesTheSame) {
  std::mt19937 random(7);
  for (const size_t blocks : {0, 1, 2, 9}) {
    std::vector<uint8_t> bytes(64 * blocks);
    for (uint8_t& b : bytes) b = static_cast<uint8_t>(random());
    std::array<uint32_t, 8> portable;
    for (uint32_t& word : portable) word = static_cast<uint32_t>(random());
    std::array<uint32_t, 8> fastest = portable;
    Sha256CompressPortable(portable.data(), bytes.data(), blocks);
    FastestSha256Compress()(fastest.data(), bytes.data(), blocks);
    EXPECT_EQ(portable, fastest) << blocks;
  }
}

TEST(Hex, GoesBothWays) {
  std::vector<uint8_t> bytes;
  EXPECT_TRUE(FromHex("00ff1a", bytes));
  EXPECT_EQ(ToHex(bytes), "00ff1a");
  for (const char* bad : {"0", "0x", "g0", " 1", "-1"}) EXPECT_FALSE(FromHex(bad, bytes)) << bad;
}

std::string Safetensors(const std::string& header, const std::string& data) {
  const uint64_t n = header.size();
  std::string file(8, '\0');
  std::memcpy(file.data(), &n, 8);
  return file + header + data;
}

Result<TensorFile> Parse(const std::string& file) { return ParseSafetensors(AsBytes(file)); }

TEST(Safetensors, RoundTrips) {
  const TempFolder folder;
  const std::vector<float> a = {1, -2, 3, 4, 5, 6}, b = {7};
  const std::vector<uint32_t> shape = {2, 3};
  const std::vector<TensorView> tensors = {{"z", shape, a}, {"a", {}, b}};
  ASSERT_TRUE(WriteSafetensors(folder / "t", tensors).ok());
  const auto read = ReadSafetensors(folder / "t");
  ASSERT_TRUE(read.ok()) << read.status().message();
  const auto views = read->views();
  ASSERT_EQ(views.size(), 2U);
  EXPECT_EQ(views[0].name, "z");
  EXPECT_THAT(views[0].shape, ElementsAre(2, 3));
  EXPECT_THAT(views[0].data, testing::ElementsAreArray(a));
  EXPECT_TRUE(views[1].shape.empty());
  EXPECT_THAT(views[1].data, ElementsAre(7.0F));
}

TEST(Safetensors, WidensEveryFloatType) {
  const std::string header =
      R"({"__metadata__":{"x":"y"},"h":{"dtype":"F16","shape":[1],"data_offsets":[0,2]},)"
      R"("b":{"dtype":"BF16","shape":[1],"data_offsets":[2,4]},"d":{"dtype":"F64","shape":[],"data_offsets":[4,12]}})";
  const double value = 0.1;
  std::string data("\x00\x3c\x80\x3f", 4);
  data.append(reinterpret_cast<const char*>(&value), 8);
  const auto file = Parse(Safetensors(header, data));
  ASSERT_TRUE(file.ok()) << file.status().message();
  const auto views = file->views();
  EXPECT_EQ(views[0].data[0], 1.0F);
  EXPECT_EQ(views[1].data[0], 1.0F);
  EXPECT_EQ(views[2].data[0], 0.1F);
}

TEST(Safetensors, RefusesMalformedFiles) {
  const auto entry = [](const std::string& shape, const std::string& offsets,
                        const std::string& type = "F32") {
    return R"({"a":{"dtype":")" + type + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets +
           "}}";
  };
  ASSERT_TRUE(Parse(Safetensors(entry("[1]", "[0,4]"), "1234")).ok());
  const std::string bad[] = {
      "",
      "1234567",
      Safetensors("", ""),
      Safetensors("[]", ""),
      Safetensors("{", ""),
      Safetensors(entry("[1]", "[0,4]"), "123"),
      Safetensors(entry("[1]", "[0,4]"), "12345"),
      Safetensors(entry("[1]", "[4,8]"), "12345678"),
      Safetensors(entry("[1]", "[4,0]"), "1234"),
      Safetensors(entry("[2]", "[0,4]"), "1234"),
      Safetensors(entry("[-1]", "[0,4]"), "1234"),
      Safetensors(entry("[1.0]", "[0,4]"), "1234"),
      Safetensors(entry("[1]", "[0]"), "1234"),
      Safetensors(entry("1", "[0,4]"), "1234"),
      Safetensors(entry("[1,1,1,1,1,1,1,1,1]", "[0,4]"), "1234"),
      Safetensors(entry("[4294967295,4294967295,4294967295]", "[0,4]"), "1234"),
      Safetensors(entry("[1]", "[0,18446744073709551615]"), "1234"),
      Safetensors(entry("[1]", "[0,4]", "a type with a very long name"), "1234"),
      Safetensors(entry("[1]", "3"), "1234"),
      Safetensors(entry("[1]", R"(["0",4])"), "1234"),
      Safetensors(entry("[1]", R"([0,"4"])"), "1234"),
      Safetensors(entry("[1]", "[4,0]"), "12345678"),
      Safetensors(entry("[4294967296]", "[0,4]"), "1234"),
      Safetensors(R"({"a":{"dtype":"F32","shape":[1]}})", "1234"),
      Safetensors(R"({"a":{"dtype":"F32","data_offsets":[0,4]}})", "1234"),
      Safetensors(R"({"a":{"shape":[1],"data_offsets":[0,4]}})", "1234"),
      Safetensors(R"({"a":{"dtype":3,"shape":[1],"data_offsets":[0,4]}})", "1234"),
      std::string("\x09\0\0\0\0\0\0\0{}", 10),  // a header longer than the file
      Safetensors(R"({"a":3})", "1234"),
      Safetensors(
          R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
          "1234"),
      std::string("\xff\xff\xff\xff\xff\xff\xff\x7f{}", 10),
      Safetensors(std::string(100000, '['), ""),
  };
  for (const std::string& file : bad)
    EXPECT_EQ(Parse(file).status().code(), Code::kBadData) << file.substr(0, 200);
  const TempFolder folder;
  EXPECT_THAT(ReadSafetensors(folder.Write("bad.safetensors", bad[4])).status().message(),
              HasSubstr("bad.safetensors"));
}

TEST(Safetensors, LeavesOutWhatHoldsNoFloats) {
  const auto file =
      Parse(Safetensors(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[8,12]},)"
                        R"("empty":{"dtype":"F32","shape":[0,7],"data_offsets":[8,8]},)"
                        R"("last":{"dtype":"BF16","shape":[3,0],"data_offsets":[12,12]},)"
                        R"("steps":{"dtype":"I64","shape":[],"data_offsets":[0,8]}})",
                        std::string("12345678\0\0\0\x40", 12)));
  ASSERT_TRUE(file.ok()) << file.status().message();
  ASSERT_EQ(file->views().size(), 1U);
  EXPECT_EQ(file->views()[0].data[0], 2.0F);
  std::vector<std::string> names;
  for (const auto& left_out : file->left_out()) names.push_back(left_out.name);
  EXPECT_THAT(names, testing::UnorderedElementsAre("empty", "last", "steps"));
}

TEST(TokenShard, RoundTripsAndRefusesWrongSizes) {
  const TempFolder folder;
  const std::vector<uint16_t> tokens = {1, 500, 65535};
  ASSERT_TRUE(WriteTokenShard(folder / "b.bin", tokens).ok());
  {
    const auto shard = TokenShard::Open(folder / "b.bin");
    ASSERT_TRUE(shard.ok()) << shard.status().message();
    EXPECT_THAT(shard->tokens(), testing::ElementsAreArray(tokens));
  }
  const std::string whole = ReadAll(folder / "b.bin");
  ASSERT_EQ(whole.size(), 1024U + 6U);
  for (const size_t n : {0U, 1U, 1023U, 1024U, 1029U}) {
    EXPECT_EQ(TokenShard::Open(folder.Write("t.bin", whole.substr(0, n))).status().code(),
              Code::kBadData)
        << n;
  }
  EXPECT_EQ(TokenShard::Open(folder.Write("t.bin", whole + "x")).status().code(), Code::kBadData);
  for (const size_t byte : {0U, 4U, 8U, 11U}) {
    std::string flipped = whole;
    flipped[byte] = static_cast<char>(flipped[byte] ^ 0x80);
    EXPECT_EQ(TokenShard::Open(folder.Write("t.bin", flipped)).status().code(), Code::kBadData)
        << byte;
  }
  EXPECT_EQ(TokenShard::Open(folder / "none.bin").status().code(), Code::kIo);
}

// A header counts tokens in 31 bits. The pages of the tokens are never touched.
TEST(TokenShard, HoldsNoMoreTokensThanItsHeaderCounts) {
  const size_t tokens = size_t{1} << 31;
  void* memory = ::mmap(nullptr, tokens * sizeof(uint16_t), PROT_READ,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) GTEST_SKIP() << "no 4 GiB of addresses";
  const TempFolder folder;
  EXPECT_FALSE(
      WriteTokenShard(folder / "x.bin", {static_cast<const uint16_t*>(memory), tokens}).ok());
  EXPECT_FALSE(std::filesystem::exists(folder / "x.bin"));
  ::munmap(memory, tokens * sizeof(uint16_t));
}

// As the user nobody, if the tests run as root, whom no mode keeps out.
TEST(ListShards, NamesAFolderThatCannotBeRead) {
  const TempFolder folder;
  ASSERT_EQ(::chmod(folder.path().c_str(), 0711), 0);
  ASSERT_EQ(::mkdir((folder / "locked").c_str(), 0), 0);
  const uid_t user = ::geteuid();
  ASSERT_EQ(::seteuid(user == 0 ? 65534 : user), 0);
  const Status status = ListShards(folder / "locked").status();
  ASSERT_EQ(::seteuid(user), 0);
  EXPECT_EQ(status.code(), Code::kIo);
  EXPECT_THAT(status.message(), HasSubstr("locked: cannot list: Permission denied"));
}

TEST(ListShards, TakesAFileAFolderOrAPattern) {
  const TempFolder folder;
  const std::string b = folder.Write("b.bin", ""), a = folder.Write("a.bin", "");
  folder.Write("notes.txt", "");
  EXPECT_THAT(*ListShards(b), ElementsAre(b));
  EXPECT_THAT(*ListShards(folder.path().string()), ElementsAre(a, b));
  EXPECT_THAT(*ListShards(folder / "?.bin"), ElementsAre(a, b));
  EXPECT_EQ(ListShards(folder / "c*.bin").status().code(), Code::kIo);
}

// A protocol buffer message field by field.
std::string Field(int number, const std::string& bytes) {
  return std::string{static_cast<char>(number << 3 | 2), static_cast<char>(bytes.size())} + bytes;
}
std::string Piece(const std::string& text, int type) {
  return Field(1, Field(1, text) + std::string("\x15\0\0\0\0", 5) +
                      (type == 1 ? "" : std::string{0x18, static_cast<char>(type)}));
}

TEST(ByteTable, CountsBytesByKindOfPiece) {
  const std::string space = "\xe2\x96\x81";
  const std::string model = Piece("<unk>", 2) + Piece("<s>", 3) + Piece("<0x41>", 6) +
                            Piece(space + "the", 1) + Piece("\xc3\xbc", 1) + Piece(space, 1) +
                            Piece("\xf0\x9f\x98\x80", 4) + Piece("gone", 5) +
                            Field(2, "trainer settings");
  const auto table = ParseByteTable(AsBytes(model));
  ASSERT_TRUE(table.ok()) << table.status().message();
  EXPECT_THAT(table->bytes, ElementsAre(0, 0, 1, 3, 2, 0, 4, 0));
  EXPECT_THAT(table->leading_space, ElementsAre(0, 0, 0, 1, 0, 1, 0, 0));
  EXPECT_THAT(table->boundary, ElementsAre(1, 1, 0, 0, 0, 0, 0, 1));
  EXPECT_EQ(table->Count(4, 3), 4U);  // "ü", " the"
  EXPECT_EQ(table->Count(1, 3), 3U);  // no space after a boundary
  EXPECT_EQ(table->Count(7, 5), 0U);
  EXPECT_EQ(table->Count(3, 5), 1U);
  EXPECT_EQ(table->Count(3, 1), 0U);
}

TEST(ByteTable, CountsEverySpaceMarkAsOneByte) {
  const std::string space = "\xe2\x96\x81";
  const std::string model =
      Piece("<unk>", 2) + Piece("<s>", 3) + Piece(space, 1) + Piece(space + space, 1) +
      Piece("a" + space, 1) + Piece("of" + space + "the", 4) + Piece(space + "a" + space + "b", 1) +
      Piece(space + space + space + space, 4) + Piece(space + "\xc3\xbc" + space, 1) +
      Piece("\xe2\x96\x82\xe2\x96", 1);  // the neighbour of the mark, and the beginning of one
  const auto table = ParseByteTable(AsBytes(model));
  ASSERT_TRUE(table.ok()) << table.status().message();
  EXPECT_THAT(table->bytes, ElementsAre(0, 0, 0, 1, 2, 6, 3, 3, 3, 5));
  EXPECT_THAT(table->leading_space, ElementsAre(0, 0, 1, 1, 0, 0, 1, 1, 1, 0));
  EXPECT_EQ(table->Count(4, 7), 4U);  // four spaces behind "a "
  EXPECT_EQ(table->Count(1, 7), 3U);  // the first of them is the tokenizer's, not the text's
  EXPECT_EQ(WhyTooManyBytes(*table), "");
  const auto without = ParseByteTable(AsBytes(Piece("<unk>", 2) + Piece(space + "a", 1)));
  EXPECT_THAT(WhyTooManyBytes(*without), HasSubstr("no piece for a space alone"));
}

TEST(ByteTable, RefusesWhatIsNoModel) {
  for (const std::string& bad :
       {std::string(), std::string("hello world"), Piece("x", 9), Field(1, "\x0a\x7f"),
        std::string("\x08\x01"), std::string("\x0a"),
        std::string("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f"), std::string(20, '\xff'),
        Field(2, "no pieces"),
        // A length, and a number of a kind that is passed over, each cut off.
        std::string("\x0a\x80"), std::string("\x0a\x03\x08\xff\xff", 5),
        // A kind of piece that is 0.
        Field(1, Field(1, "x") + std::string("\x18\0", 2))}) {
    EXPECT_EQ(ParseByteTable(AsBytes(bad)).status().code(), Code::kBadData);
  }
  // Fields of another type than the schema's are passed over, as protocol buffers are read.
  const auto foreign =
      ParseByteTable(AsBytes(Field(1, Field(1, "ab") + std::string("\x08\x05\x1a\x01x", 5))));
  ASSERT_TRUE(foreign.ok()) << foreign.status().message();
  EXPECT_THAT(foreign->bytes, ElementsAre(2));

  std::string many;
  for (int i = 0; i <= 65536; ++i) many += Piece("x", 1);
  EXPECT_THAT(ParseByteTable(AsBytes(many)).status().message(), HasSubstr("65536"));
  std::string text(70'000, 'x'), length;
  for (size_t n = text.size(); n > 0; n >>= 7)
    length += static_cast<char>((n & 0x7f) | (n > 0x7f ? 0x80 : 0));
  const std::string piece = "\x0a" + length + text;
  length.clear();
  for (size_t n = piece.size(); n > 0; n >>= 7)
    length += static_cast<char>((n & 0x7f) | (n > 0x7f ? 0x80 : 0));
  EXPECT_FALSE(ParseByteTable(AsBytes("\x0a" + length + piece)).ok()) << "a piece of 70,000 bytes";

  const std::string model = Piece("<unk>", 2) + Piece("abc", 1);
  for (size_t n = 0; n < model.size(); ++n) {
    const auto table = ParseByteTable(AsBytes(model).first(n));
    EXPECT_TRUE(!table.ok() || table->size() == 1) << n;  // a list may end after any element
  }
}

TEST(File, ReadsNoMoreThanAllowed) {
  const TempFolder folder;
  const std::string path = folder.Write("x", "12345");
  EXPECT_EQ(ReadFile(path, 5)->size(), 5U);
  EXPECT_EQ(ReadFile(path, 4).status().code(), Code::kBadData);
  EXPECT_EQ(ReadFile(folder.path().string(), 5).status().code(), Code::kIo);
  EXPECT_EQ(MappedFile::Open(folder.path().string()).status().code(), Code::kIo);
  EXPECT_THAT(ReadFile(folder / "y", 5).status().message(),
              HasSubstr("y: cannot open: No such file"));
}

}  // namespace
}  // namespace golf::test
