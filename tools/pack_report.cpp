#include "tools/pack_report.h"

#include <fmt/format.h>

#include <map>

#include "artifact/size_report.h"
#include "tools/cli.h"

namespace golf {
namespace {

struct GainSum {
  size_t matrices = 0;
  double nearest = 0, reference = 0, chosen = 0;

  void Add(const GptqGain& gain) {
    ++matrices;
    nearest += gain.nearest;
    reference += gain.reference;
    chosen += gain.chosen;
  }
};

void PrintLine(const std::string& name, const GainSum& sum) {
  const auto n = static_cast<double>(sum.matrices);
  Print("{:<42}{:>9}{:>15.3e}{:>15.3e}{:>15.3e}\n", name, sum.matrices, sum.nearest / n,
        sum.reference / n, sum.chosen / n);
}

}  // namespace

void PrintGains(std::span<const GptqGain> gains) {
  if (gains.empty()) return;
  std::map<std::string, GainSum> groups;
  GainSum all;
  for (const GptqGain& gain : gains) {
    groups[GroupName(gain.name)].Add(gain);
    all.Add(gain);
  }
  Print("{:<42}{:>9}{:>15}{:>15}{:>15}\n", "error of outputs, share of their square", "matrices",
        "nearest", "reference", "chosen");
  for (const auto& [name, sum] : groups) PrintLine(name, sum);
  PrintLine("mean of all", all);
  Print("\n");
}

nlohmann::ordered_json ToJson(std::span<const GptqGain> gains) {
  auto json = nlohmann::ordered_json::array();
  for (const GptqGain& gain : gains) {
    json.push_back({{"name", gain.name},
                    {"nearest", gain.nearest},
                    {"reference", gain.reference},
                    {"chosen", gain.chosen}});
  }
  return json;
}

void PrintPath(const FitResult& fit) {
  Print("{:<52}{:>14}{:>13}\n", "tried", "bytes", "error");
  for (const FitTry& t : fit.path) {
    Print("{:<52}{:>14}{:>13}\n", t.what, Grouped(t.bytes),
          t.loss > 0 ? fmt::format("{:.5f}", t.loss) : "");
  }
  Print("\n");
}

nlohmann::ordered_json ToJson(const FitResult& fit) {
  nlohmann::ordered_json json{
      {"fits", fit.fits}, {"level", fit.level}, {"error", fit.loss}, {"pruned", fit.pruned}};
  json["path"] = nlohmann::ordered_json::array();
  for (const FitTry& t : fit.path)
    json["path"].push_back({{"what", t.what}, {"bytes", t.bytes}, {"error", t.loss}});
  return json;
}

}  // namespace golf
