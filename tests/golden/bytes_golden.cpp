// Byte tables from a tokenizer model, and the bytes counted for two token streams.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "artifact/byte_table.h"
#include "tests/golden/kinds.h"

namespace golf::test {
namespace {

namespace fs = std::filesystem;

// The model is not part of the case: beside it, in $GOLF_SHARED_DATA or in ../shared/data. Empty if nowhere.
fs::path FindTokenizer(const GoldenCase& c) {
  const auto name = c.run().at("tokenizer").get<std::string>();
  const char* from_environment = std::getenv("GOLF_SHARED_DATA");
  for (const fs::path& folder :
       {c.folder, fs::path(from_environment != nullptr ? from_environment : ""),
        fs::path(GOLF_SOURCE_DIR) / ".." / "shared" / "data"}) {
    if (!folder.empty() && fs::exists(folder / name)) return folder / name;
  }
  return {};
}

template <class T>
void Assign(const GoldenTensor& tensor, std::vector<T>& out) {
  const std::vector<int32_t> values = tensor.i32();
  out.assign(values.begin(), values.end());
}

void CheckStream(const GoldenCase& c, const ByteTable& table, const std::string& stream) {
  const std::vector<int32_t> tokens = c.Get(stream + "_tokens").i32();
  std::vector<int32_t> counted;
  double total = 0;
  for (size_t i = 1; i < tokens.size(); ++i) {
    counted.push_back(static_cast<int32_t>(table.Count(tokens[i - 1], tokens[i])));
    total += counted.back();
  }
  c.ExpectInts(stream + "_bytes", counted);
  c.ExpectScalar(stream + "_total", total);
}

}  // namespace

void BytesGolden(const GoldenCase& c) {
  ByteTable table;
  const fs::path tokenizer = FindTokenizer(c);
  if (tokenizer.empty()) {
    Assign(c.Get("base_bytes"), table.bytes);
    Assign(c.Get("has_leading_space"), table.leading_space);
    Assign(c.Get("is_boundary"), table.boundary);
  } else {
    auto read = ReadByteTable(tokenizer.string());
    ASSERT_TRUE(read.ok()) << read.status().message();
    table = *read;
    c.ExpectInts("base_bytes", std::vector<int32_t>(table.bytes.begin(), table.bytes.end()));
    c.ExpectInts("has_leading_space",
                 std::vector<int32_t>(table.leading_space.begin(), table.leading_space.end()));
    c.ExpectInts("is_boundary", std::vector<int32_t>(table.boundary.begin(), table.boundary.end()));
  }
  CheckStream(c, table, "text");
  CheckStream(c, table, "random");
  if (tokenizer.empty()) {
    GTEST_SKIP() << "no " << c.run().at("tokenizer")
                 << " ($GOLF_SHARED_DATA); only the counting was checked";
  }
}

}  // namespace golf::test
