#include "trainer/choose_tokenizer.h"

#include <fmt/format.h>

#include <optional>
#include <vector>

#include "artifact/dataset.h"

namespace golf {
namespace {

Status CheckPieces(const TokenizerInfo& tokenizer, const std::string& path, uint32_t vocab_size) {
  const size_t pieces = tokenizer.byte_table.size();
  if (pieces == vocab_size) return {};
  return {Code::kUsage, fmt::format("{}: the tokenizer has {} pieces, network.vocab_size is {}; "
                                    "they have to agree",
                                    path, pieces, vocab_size)};
}

// Nobody asked for it: what is wrong with it is a warning.
void TakeTheOneBeside(const std::string& shard, uint32_t vocab_size, ChosenTokenizer& chosen) {
  const std::string path = TokenizerModelBeside(shard);
  if (path.empty()) return;
  Result<TokenizerInfo> found = ReadTokenizerInfo(path);
  const Status usable = found.ok() ? CheckPieces(*found, path, vocab_size) : found.status();
  if (!usable.ok()) {
    chosen.warning = usable.message() + "; it is not taken, so there are no bits per byte";
    return;
  }
  chosen.info = std::move(*found);
  chosen.path = path;
  chosen.note = fmt::format("tokenizer: {}, which lies beside the shards", path);
}

}  // namespace

Result<ChosenTokenizer> ChooseTokenizer(const TokenizerSources& from) {
  ChosenTokenizer chosen;
  const bool carried = from.carried != nullptr && from.carried->byte_table.size() > 0;
  if (!from.given.empty()) {
    GOLF_ASSIGN(chosen.info, ReadTokenizerInfo(from.given));
    if (carried && !(chosen.info == *from.carried)) {
      return Status(Code::kUsage, fmt::format("{} is not the tokenizer of {} (SHA-256 {})",
                                              from.given, from.carrier, from.carried->sha256));
    }
    chosen.path = from.given;
  } else if (carried) {
    chosen.info = *from.carried;
    chosen.path = from.carrier;
  } else if (!from.shards.empty()) {
    TakeTheOneBeside(from.shards.front().path, from.vocab_size, chosen);
  }
  std::optional<NamedTokenizer> named;
  if (!chosen.path.empty()) {
    GOLF_TRY(CheckPieces(chosen.info, chosen.path, from.vocab_size));
    named = {chosen.info.sha256, chosen.path};
    if (chosen.warning.empty()) chosen.warning = WhyTooManyBytes(chosen.info.byte_table);
  }
  GOLF_TRY(CheckTokenizerOf(from.shards, std::move(named)));
  GOLF_ASSIGN(const std::string miscounts, WarningOfMiscounts(from.shards));
  if (!chosen.warning.empty() && !miscounts.empty()) chosen.warning += "; ";
  chosen.warning += miscounts;
  return chosen;
}

}  // namespace golf
