#include "runtime/receipt.h"

#include <sys/resource.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "artifact/sha256.h"

namespace golf {
namespace {

using Json = nlohmann::ordered_json;

std::string CpuName() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    const size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown";
}

// null where there is no limit.
template <class T>
Json OrNull(const std::optional<T>& limit) {
  return limit ? Json(*limit) : Json(nullptr);
}

// Whether a limit of seconds was exceeded; null where there is none.
Json OverTime(double seconds, const std::optional<double>& limit) {
  return limit ? Json(seconds > *limit) : Json(nullptr);
}

Json SizeOf(const RunFacts& facts, const Limits& limits) {
  Json code = Json::array();
  for (const CodeFile& file : limits.code) {
    code.push_back({{"name", std::filesystem::path(file.path).filename().string()},
                    {"sha256", file.sha256},
                    {"bytes", file.bytes}});
  }
  return {{"code_bytes", limits.code_bytes()},
          {"total_bytes", facts.artifact_bytes + limits.code_bytes()},
          {"max_bytes", OrNull(limits.max_bytes)},
          {"code", std::move(code)}};
}

Json TrainOf(const Limits& limits) {
  if (!limits.packing) return nullptr;
  const PackingFacts& packing = *limits.packing;
  return {{"input_sha256", packing.input_sha256},
          {"steps_seconds", OrNull(packing.steps_seconds)},
          {"calibration_seconds", packing.calibration_seconds},
          {"max_seconds", OrNull(limits.max_train_seconds)},
          {"over_time", OverTime(packing.train_seconds(), limits.max_train_seconds)},
          {"packing_seconds", packing.packing_seconds}};
}

}  // namespace

uint64_t Limits::code_bytes() const {
  uint64_t bytes = 0;
  for (const CodeFile& file : code) bytes += file.bytes;
  return bytes;
}

Platform DescribePlatform(int threads) {
  const Result<std::string> program = Sha256OfFile("/proc/self/exe");
  return {CpuName(), __VERSION__, program.ok() ? *program : std::string(64, '0'), threads};
}

uint64_t PeakMemoryBytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<uint64_t>(usage.ru_maxrss) * 1024;  // Linux counts KiB
}

nlohmann::ordered_json Receipt(const RunFacts& facts, const Limits& limits, const RunResult& result,
                               const Platform& platform) {
  const ScoreSums& sums = result.sums;
  const double seconds = result.scoring_seconds;
  Json receipt = {{"format", "golf-receipt"}, {"version", 2}};
  receipt.update(ToJson(facts));
  receipt["size"] = SizeOf(facts, limits);
  receipt["order"] = "stream";
  receipt["scored"] = sums.targets;  // above target_tokens where the protocol scores some again
  receipt["bytes_scored"] = sums.bytes;
  receipt["nll_sum_nats"] = sums.nll_nats;
  receipt["val_loss"] = sums.loss_nats();
  receipt["val_bpb"] = sums.bits_per_byte();
  receipt["adaptation"] = nullptr;
  if (const auto& counts = result.adaptation) {
    receipt["adaptation"] = {{"chunks", counts->chunks},
                             {"trained_chunks", counts->trained_chunks},
                             {"updates", counts->updates}};
  }
  receipt["audit_head_sha256"] =
      result.audit_head_sha256.empty() ? Json(nullptr) : Json(result.audit_head_sha256);
  receipt["train"] = TrainOf(limits);
  receipt["eval"] = {
      {"startup_seconds", result.startup_seconds},
      {"scoring_seconds", seconds},
      {"max_seconds", OrNull(limits.max_eval_seconds)},
      {"over_time", OverTime(result.seconds(), limits.max_eval_seconds)},
      {"tokens_per_second", seconds > 0 ? static_cast<double>(sums.targets) / seconds : 0},
      {"peak_memory_bytes", result.peak_memory_bytes}};
  receipt["hardware"] = {{"device", "cpu"},
                         {"name", platform.cpu},
                         {"processes", facts.processes},
                         {"threads", platform.threads}};
  receipt["versions"] = {{"golf", facts.golf},
                         {"compiler", platform.compiler},
                         {"kernels", facts.kernels},
                         {"program_sha256", platform.program_sha256}};
  return receipt;
}

}  // namespace golf
