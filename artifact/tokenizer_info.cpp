#include "artifact/tokenizer_info.h"

#include "artifact/file.h"
#include "artifact/sha256.h"
#include "kernels/base/check.h"
#include "schemas/tokenizer_generated.h"

namespace golf {
namespace {

constexpr uint8_t kLeadingSpace = 1, kBoundary = 2;
constexpr size_t kMaxPieces = 1 << 18;

}  // namespace

Result<TokenizerInfo> ReadTokenizerInfo(const std::string& tokenizer_model_path) {
  GOLF_ASSIGN(const MappedFile model, MappedFile::Open(tokenizer_model_path));
  Result<ByteTable> table = ParseByteTable(model.bytes());
  if (!table.ok())
    return Status{table.status().code(), tokenizer_model_path + ": " + table.status().message()};
  return TokenizerInfo{ToHex(Sha256::OfMapped(model)), std::move(*table)};
}

std::unique_ptr<schema::TokenizerT> PackTokenizerInfo(const TokenizerInfo& info) {
  auto table = std::make_unique<schema::TokenizerT>();
  GOLF_CHECK(FromHex(info.sha256, table->sha256) && table->sha256.size() == sizeof(Sha256Digest));
  const ByteTable& t = info.byte_table;
  table->bytes = t.bytes;
  for (size_t i = 0; i < t.size(); ++i) {
    table->flags.push_back(static_cast<uint8_t>((t.leading_space[i] ? kLeadingSpace : 0) |
                                                (t.boundary[i] ? kBoundary : 0)));
  }
  return table;
}

Result<TokenizerInfo> UnpackTokenizerInfo(const schema::Tokenizer& table) {
  const auto bad = [](const std::string& why) {
    return Status{Code::kBadData, "tokenizer table: " + why};
  };
  if (table.sha256()->size() != sizeof(Sha256Digest)) return bad("its digest has not 32 bytes");
  const size_t count = table.bytes()->size();
  if (count == 0 || count > kMaxPieces) return bad(std::to_string(count) + " pieces");
  if (table.flags()->size() != count) return bad("its lists differ in length");
  TokenizerInfo info;
  info.sha256 = ToHex({table.sha256()->data(), table.sha256()->size()});
  info.byte_table.bytes.assign(table.bytes()->begin(), table.bytes()->end());
  for (const uint8_t flags : *table.flags()) {
    if (flags > (kLeadingSpace | kBoundary)) return bad("an unknown flag");
    info.byte_table.leading_space.push_back(flags & kLeadingSpace);
    info.byte_table.boundary.push_back(flags >> 1);
  }
  return info;
}

}  // namespace golf
