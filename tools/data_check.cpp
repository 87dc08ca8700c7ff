#include "tools/data_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <unordered_map>

#include "artifact/json.h"
#include "artifact/sha256.h"
#include "artifact/token_shard.h"
#include "tools/data_split.h"
#include "tools/data_stream.h"
#include "tools/data_tokenizer.h"

namespace golf {
namespace {

namespace fs = std::filesystem;

constexpr uint16_t kUsualBos = 1;  // of the published sets, when no tokenizer is given
constexpr size_t kMostReported = 10;
constexpr size_t kMostNamed = 3;  // documents of one problem

struct Side {
  std::string name;  // "train", "val", or "" for shards whose name does not tell
  std::vector<std::string> shards;
  uint64_t tokens = 0, documents = 0, bytes = 0;
  uint64_t document_tokens = 0, longest_document = 0;  // of the document at hand, of any
  std::vector<bool> used = std::vector<bool>(65536);   // ids that occur
};

DocumentHash HashTokens(const std::vector<uint16_t>& tokens) {
  return HashBytes(tokens.data(), tokens.size() * sizeof(uint16_t));
}

std::string SplitName(const std::string& path) {
  const std::optional<Split> split = SplitOfName(path);
  if (!split) return "";
  return *split == Split::kTrain ? "train" : "val";
}

class Checker {
 public:
  Checker(const CheckSettings& settings, const OutputFlags& output)
      : settings_(settings), output_(output) {}

  Result<CheckReport> Run() {
    GOLF_TRY(FindShards());
    GOLF_TRY(LoadTokenizer());
    for (auto& [name, split] : splits_) GOLF_TRY(ScanSplit(split));
    if (!settings_.compare) return std::move(report_);
    GOLF_TRY(CompareDescription());
    if (!readable_) return std::move(report_);  // what follows walks the shards
    if (splits_.contains("train") && splits_.contains("val")) {
      GOLF_TRY(CompareSplits());
      GOLF_TRY(CompareHashLists());
    }
    if (tokenizer_) {
      for (auto& [name, split] : splits_) GOLF_TRY(CompareDecodedBytes(split));
    }
    if (settings_.documents) GOLF_TRY(CompareDocuments());
    return std::move(report_);
  }

 private:
  void Problem(std::string what) {
    if (report_.problems.size() < kMostReported) {
      report_.problems.push_back(std::move(what));
    } else if (report_.problems.size() == kMostReported) {
      report_.problems.push_back("and more");
    }
  }

  Status FindShards() {
    for (const auto& argument : settings_.shards) {
      GOLF_ASSIGN(const auto paths, ListShards(argument));
      for (const auto& path : paths) splits_[SplitName(path)].shards.push_back(path);
      if (folder_.empty()) folder_ = fs::path(paths.front()).parent_path();
    }
    for (auto& [name, split] : splits_) split.name = name;
    return {};
  }

  Status LoadTokenizer() {
    std::string path = settings_.tokenizer_path;
    const fs::path beside = folder_ / "tokenizer.model";
    if (std::error_code unknown; path.empty() && fs::exists(beside, unknown))
      path = beside.string();
    if (path.empty()) {
      if (settings_.documents)
        return {Code::kUsage, "documents can be compared only with the tokenizer at hand"};
      return {};
    }
    GOLF_ASSIGN(tokenizer_, Tokenizer::Load(path));
    tokenizer_digest_ = tokenizer_->sha256();
    bos_ = tokenizer_->bos();
    report_.facts["tokenizer"] = {
        {"file", path}, {"sha256", tokenizer_digest_}, {"pieces", tokenizer_->vocab_size()}};
    return {};
  }

  Status ScanSplit(Side& split) {
    nlohmann::ordered_json shards = nlohmann::ordered_json::array();
    std::optional<uint16_t> previous;
    for (const auto& path : split.shards) {
      if (StopRequested()) return {Code::kInterrupted, "interrupted"};
      auto opened = TokenShard::Open(path);
      if (!opened.ok()) {
        if (opened.status().code() == Code::kIo) return opened.status();
        Problem(opened.status().message());
        readable_ = false;
        continue;
      }
      shards.push_back(ScanShard(*opened, previous, split));
    }
    nlohmann::ordered_json facts = {
        {"tokens", split.tokens},
        {"targets", split.tokens - (split.tokens > 0)},
        {"documents", split.documents},
        {"longest_document", split.longest_document},
        {"ids_used", std::count(split.used.begin(), split.used.end(), true)}};
    if (tokenizer_) facts["bytes"] = split.bytes;
    facts["shards"] = shards;
    report_.facts[FactsName(split)] = facts;
    return {};
  }

  nlohmann::ordered_json ScanShard(const TokenShard& shard, std::optional<uint16_t>& previous,
                                   Side& split) {
    const auto tokens = shard.tokens();
    const size_t known_ids = tokenizer_ ? tokenizer_->vocab_size() : 0;
    uint64_t documents = 0, bytes = 0;
    uint16_t largest = 0;
    if (!previous && !tokens.empty() && tokens[0] != bos_) {
      Problem(
          fmt::format("{}: begins with token {} instead of BOS {}", shard.path(), tokens[0], bos_));
    }
    for (const uint16_t token : tokens) {
      documents += token == bos_;
      split.document_tokens = token == bos_ ? 1 : split.document_tokens + 1;
      split.longest_document = std::max(split.longest_document, split.document_tokens);
      split.used[token] = true;
      largest = std::max(largest, token);
      if (previous && std::max(token, *previous) < known_ids)
        bytes += tokenizer_->byte_table().Count(*previous, token);
      previous = token;
    }
    if (documents == 0) Problem(shard.path() + ": has no BOS");
    if (tokenizer_ && largest >= tokenizer_->vocab_size()) {
      Problem(fmt::format("{}: has token {}, the tokenizer {} pieces", shard.path(), largest,
                          tokenizer_->vocab_size()));
      readable_ = false;
    }
    split.tokens += tokens.size();
    split.documents += documents;
    split.bytes += bytes;
    nlohmann::ordered_json facts = {{"file", shard.path()},
                                    {"tokens", tokens.size()},
                                    {"documents", documents},
                                    {"largest_id", largest}};
    if (tokenizer_) facts["bytes"] = bytes;
    return facts;
  }

  // By token ids: finds a shared document even if someone else made the shards.
  Status CompareSplits() {
    std::vector<uint16_t> tokens;
    DocumentStream validation(splits_["val"].shards, bos_);
    for (uint64_t i = 1;; ++i) {
      GOLF_ASSIGN(const bool found, validation.Next(tokens));
      if (!found) break;
      validation_documents_.emplace(HashTokens(tokens), i);
    }
    DocumentStream train(splits_["train"].shards, bos_);
    uint64_t shared = 0;
    std::string names;
    Progress progress("compare", splits_["train"].documents, "documents", output_);
    for (uint64_t i = 1;; ++i) {
      GOLF_ASSIGN(const bool found, train.Next(tokens));
      if (!found) break;
      progress.Update(i);
      const auto same = validation_documents_.find(HashTokens(tokens));
      if (same == validation_documents_.end()) continue;
      if (++shared > kMostNamed) continue;
      names += fmt::format("{}document {} of training is {} of validation",
                           names.empty() ? ": " : ", ", i, same->second);
      if (tokenizer_ && readable_)
        names += fmt::format(" (\"{}\")", Excerpt(tokenizer_->Decode(tokens)));
    }
    report_.facts["documents_in_both_splits"] = shared;
    if (shared > 0) {
      Problem(fmt::format("{} training documents are also in the validation split{}{}", shared,
                          names, shared > kMostNamed ? ", ..." : ""));
    }
    return {};
  }

  // By the hashes of the texts, as golf-data wrote them.
  Status CompareHashLists() {
    std::unordered_map<std::string, uint64_t> validation;  // hash -> line
    for (const std::string name : {"val", "train"}) {
      const fs::path path = HashListOf(splits_[name]);
      if (std::error_code unknown; !fs::exists(path, unknown)) return {};
      std::ifstream in(path);
      uint64_t count = 0, shared = 0;
      std::string first;
      for (std::string line; std::getline(in, line);) {
        ++count;
        if (name == "val") {
          validation.emplace(line, count);
        } else if (const auto same = validation.find(line); same != validation.end()) {
          if (shared++ == 0) first = fmt::format("line {} is its line {}", count, same->second);
        }
      }
      if (count != splits_[name].documents) {
        Problem(fmt::format("{}: {} hashes, the shards hold {} documents", path.string(), count,
                            splits_[name].documents));
      }
      if (shared > 0)
        Problem(fmt::format("{}: {} hashes are also in the validation list; {}", path.string(),
                            shared, first));
    }
    report_.facts["hash_lists_compared"] = true;
    return {};
  }

  static fs::path HashListOf(const Side& split) {  // golf_val_000000.bin -> golf_val.docs
    std::string path = split.shards.front();
    return path.substr(0, path.find_last_of('_')) + ".docs";
  }

  Status CompareDescription() {
    const fs::path path = folder_ / "dataset.json";
    if (std::error_code unknown; !fs::exists(path, unknown)) return {};
    const Result<nlohmann::json> read = ReadJson(path.string());
    if (!read.ok()) {
      if (read.status().code() != Code::kBadData) return read.status();
      Problem(read.status().message());
      return {};
    }
    const nlohmann::json& described = *read;
    const auto* tokenizer = JsonField(described, "tokenizer");
    const Result<std::string> digest =
        JsonText(tokenizer == nullptr ? described : *tokenizer, "sha256");
    if (tokenizer_ && (!digest.ok() || *digest != tokenizer_digest_)) {
      Problem(path.string() + ": the shards were made with another tokenizer");
    }
    const Result<uint64_t> miscounted = JsonWhole(described, "miscounted_documents");
    approximate_ = miscounted.ok() && *miscounted > 0;
    for (const auto& [name, split] : splits_) {
      for (const auto& shard : split.shards) GOLF_TRY(CompareDigest(described, name, shard));
    }
    report_.facts["dataset_json_compared"] = true;
    return {};
  }

  Status CompareDigest(const nlohmann::json& described, const std::string& split,
                       const std::string& shard) {
    const auto* facts = JsonField(described, split);
    const auto* entries = facts == nullptr ? nullptr : JsonField(*facts, "shards");
    const std::string file = fs::path(shard).filename().string();
    const nlohmann::json none = nlohmann::json::array();
    for (const auto& entry : entries != nullptr && entries->is_array() ? *entries : none) {
      const Result<std::string> name = JsonText(entry, "file"), said = JsonText(entry, "sha256");
      if (!name.ok() || *name != file) continue;
      GOLF_ASSIGN(const std::string digest, Sha256OfFile(shard));
      if (!said.ok() || *said != digest)
        Problem(shard + ": its SHA-256 is not the one in dataset.json");
      return {};
    }
    Problem(shard + ": is not in dataset.json");
    return {};
  }

  // Counts the bytes a second way: what a decoded document holds must be what the byte table counts.
  Status CompareDecodedBytes(const Side& split) {
    DocumentStream stream(split.shards, bos_);
    std::vector<uint16_t> tokens;
    uint64_t decoded_bytes = 0, miscounted = 0;
    std::string first;
    Progress progress("decode", split.documents, "documents", output_);
    for (uint64_t i = 1;; ++i) {
      GOLF_ASSIGN(const bool found, stream.Next(tokens));
      if (!found) break;
      if (StopRequested()) return {Code::kInterrupted, "interrupted"};
      const std::string text = tokenizer_->Decode(tokens);
      decoded_bytes += text.size();
      const std::string reason = tokenizer_->WhyMiscounted(tokens, text);
      if (!reason.empty() && miscounted++ == 0)
        first = fmt::format("document {} (\"{}\"): {}", i, Excerpt(text), reason);
      progress.Update(i);
    }
    report_.facts[FactsName(split)]["decoded_bytes"] = decoded_bytes;
    if (miscounted == 0) return {};
    const std::string what = fmt::format(
        "{}: the byte table counts {} bytes, the decoded documents hold {}; {} of them "
        "are miscounted, the first is {}",
        FactsName(split), split.bytes, decoded_bytes, miscounted, first);
    if (approximate_) {
      Warn(what);
    } else {
      Problem(what);
    }
    return {};
  }

  static std::string FactsName(const Side& split) {
    return split.name.empty() ? "shards" : split.name;
  }

  // Each document must be the next of a split, or a copy of a validation document that was left out of training.
  Status CompareDocuments() {
    GOLF_ASSIGN(DocumentReader reader, DocumentReader::Open(*settings_.documents));
    std::vector<Cursor> cursors;
    for (const auto& [name, split] : splits_) {
      cursors.push_back({DocumentStream(split.shards, bos_), {}, false});
      GOLF_TRY(cursors.back().Advance());
    }
    uint64_t compared = 0, exact = 0, left_out = 0;
    Progress progress("documents", reader.total_bytes(), "bytes", output_);
    for (std::string text;;) {
      GOLF_ASSIGN(const bool found, reader.Next(text));
      if (!found) break;
      if (StopRequested()) return {Code::kInterrupted, "interrupted"};
      const auto tokens = tokenizer_->Encode(text);
      const auto cursor = std::find_if(cursors.begin(), cursors.end(), [&](const Cursor& c) {
        return c.has && c.tokens == tokens;
      });
      if (cursor != cursors.end()) {
        ++compared;
        exact += tokenizer_->Decode(tokens) == text;
        GOLF_TRY(cursor->Advance());
      } else if (validation_documents_.contains(HashTokens(tokens))) {
        ++left_out;
      } else {
        Problem(fmt::format("the document after {} others is not in the shards: \"{}\"",
                            compared + left_out, Excerpt(text)));
        break;
      }
      progress.Update(reader.bytes_read());
    }
    const bool rest =
        std::any_of(cursors.begin(), cursors.end(), [](const Cursor& c) { return c.has; });
    if (rest && report_.problems.empty())
      Problem("the shards hold documents that are not among those given");
    if (settings_.exact_text && exact != compared) {
      Problem(fmt::format("{} of {} documents do not decode to their exact text", compared - exact,
                          compared));
    }
    report_.facts["documents_compared"] = compared;
    report_.facts["documents_left_out_as_copies"] = left_out;
    report_.facts["documents_decoding_to_their_exact_text"] = exact;
    return {};
  }

  struct Cursor {
    DocumentStream stream;
    std::vector<uint16_t> tokens;
    bool has;
    Status Advance() {
      GOLF_ASSIGN(has, stream.Next(tokens));
      return {};
    }
  };

  const CheckSettings& settings_;
  const OutputFlags& output_;
  CheckReport report_;
  std::map<std::string, Side> splits_;
  fs::path folder_;  // of the first shard
  std::optional<Tokenizer> tokenizer_;
  std::string tokenizer_digest_;
  uint16_t bos_ = kUsualBos;
  bool approximate_ = false;  // dataset.json says that bytes are miscounted
  bool readable_ = true;      // every shard opened, every id known
  // Hashes of token ids, and the number of the document in its split, from 1.
  std::unordered_map<DocumentHash, uint64_t, DocumentHasher> validation_documents_;
};

}  // namespace

Result<CheckReport> CheckShards(const CheckSettings& settings, const OutputFlags& output) {
  return Checker(settings, output).Run();
}

}  // namespace golf
