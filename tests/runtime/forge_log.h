// A log in which one field of the first record of a type is another, with totals, chain and versions mended.
#pragma once
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "artifact/file.h"
#include "artifact/json.h"
#include "artifact/sha256.h"
#include "runtime/scorer.h"

namespace golf::test {

inline void ForgeLog(const std::string& from, const std::string& to, const std::string& type,
                     const std::string& pointer, const nlohmann::json& value) {
  using Json = nlohmann::ordered_json;
  std::ifstream in(from);
  std::string text, prev(64, '0'), weights;
  bool done = false;
  ScoreSums sums;
  for (std::string line; std::getline(in, line);) {
    Json record = Json::parse(line);
    if (record["type"] == "header") weights = record["artifact_sha256"];
    if (record.contains("weights")) record["weights"] = weights;
    if (record["type"] == type && !done) {
      record[Json::json_pointer(pointer)] = Json(value);
      done = true;
    }
    if (record["type"] == "score") {
      sums.nll_nats += record["nll_nats"].get<double>();
      sums.bytes += record["bytes"].get<uint64_t>();
      sums.targets += record["count"].get<uint64_t>();
    }
    if (record["type"] == "end") {
      record["nll_nats"] = sums.nll_nats;
      record["loss_nats"] = sums.loss_nats();
      record["bits_per_byte"] = sums.bits_per_byte();
    }
    record["prev"] = prev;
    line = DumpJson(record);
    prev = ToHex(Sha256::Of(AsBytes(line)));
    if (record["type"] == "train") weights = prev;
    text += line + '\n';
  }
  std::ofstream(to) << text;
}

}  // namespace golf::test
