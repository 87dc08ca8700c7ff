#include "runtime/audit_log.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>
#include <xxhash.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

#include "artifact/file.h"
#include "artifact/sha256.h"

namespace golf {
namespace {

using Json = nlohmann::ordered_json;

// A score record is closed once it holds this many targets, so that little is missing from the log of a killed run.
constexpr uint64_t kTargetsPerRecord = 32768;

std::string HashOf(const std::string& line) { return ToHex(Sha256::Of(AsBytes(line))); }

// A cheap fingerprint of the weights after training, to compare runs and replays by.
std::string Fingerprint(const TensorSet& weights) {
  const std::span<const float> all = weights.all();
  return fmt::format("{:016x}", XXH3_64bits(all.data(), all.size_bytes()));
}

}  // namespace

Result<std::unique_ptr<AuditLog>> AuditLog::Create(const std::string& path, const RunFacts& facts) {
  int descriptor;
  do {
    descriptor = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
  } while (descriptor < 0 && errno == EINTR);
  if (descriptor < 0)
    return Status(Code::kIo, fmt::format("cannot create {}: {}", path, std::strerror(errno)));
  std::unique_ptr<AuditLog> log(new AuditLog(path, descriptor));
  log->head_ = std::string(64, '0');
  log->weights_version_ = facts.artifact_sha256;
  Json header = {{"type", "header"}, {"format", "golf-audit"}, {"version", 1}};
  header.update(ToJson(facts));
  GOLF_TRY(log->Write(std::move(header)));
  return log;
}

AuditLog::~AuditLog() { close(descriptor_); }

Status AuditLog::Scored(const ScoredWindow& scored) {
  if (pending_.targets > 0 &&
      (scored.window.first_target() != end_ || pending_.targets >= kTargetsPerRecord)) {
    GOLF_TRY(FlushScored());
  }
  if (pending_.targets == 0) begin_ = scored.window.first_target();
  end_ = scored.window.end_target();
  for (size_t i = 0; i < scored.nll.size(); ++i) pending_.Add(scored.nll[i], scored.bytes[i]);
  return {};
}

Status AuditLog::FlushScored() {
  if (pending_.targets == 0) return {};
  GOLF_TRY(Write({{"type", "score"},
                  {"range", {begin_, end_}},
                  {"weights", weights_version_},
                  {"nll_nats", pending_.nll_nats},
                  {"bytes", pending_.bytes},
                  {"count", pending_.targets}}));
  totals_.nll_nats += pending_.nll_nats;
  totals_.bytes += pending_.bytes;
  totals_.targets += pending_.targets;
  pending_ = {};
  return {};
}

Status AuditLog::Trained(const TrainedChunk& trained) {
  GOLF_TRY(FlushScored());
  GOLF_TRY(Write({{"type", "train"},
                  {"range", {trained.step.begin, trained.step.end}},
                  {"weights", weights_version_},
                  {"updates", trained.updates.size()},
                  {"lr", trained.step.lr},
                  {"first_loss_nats", trained.updates.front().loss_nats},
                  {"last_loss_nats", trained.updates.back().loss_nats},
                  {"weights_xxh3", Fingerprint(trained.weights)}}));
  weights_version_ = head_;
  return {};
}

Status AuditLog::Finish() {
  GOLF_TRY(FlushScored());
  GOLF_TRY(Write({{"type", "end"},
                  {"weights", weights_version_},
                  {"nll_nats", totals_.nll_nats},
                  {"bytes", totals_.bytes},
                  {"count", totals_.targets},
                  {"loss_nats", totals_.loss_nats()},
                  {"bits_per_byte", totals_.bits_per_byte()}}));
  int synced;
  do {
    synced = fsync(descriptor_);
  } while (synced != 0 && errno == EINTR);
  if (synced != 0 && errno != EINVAL && errno != EROFS) {  // EINVAL: a pipe or /dev/null
    return {Code::kIo, fmt::format("cannot sync {}: {}", path_, std::strerror(errno))};
  }
  return {};
}

Status AuditLog::Write(Json record) {
  record["prev"] = head_;
  // File names need not be UTF-8; what is not is replaced.
  std::string line = record.dump(-1, ' ', false, Json::error_handler_t::replace);
  head_ = HashOf(line);
  line += '\n';
  for (size_t done = 0; done < line.size();) {
    const ssize_t n = write(descriptor_, line.data() + done, line.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return {Code::kIo, fmt::format("cannot write {}: {}", path_, std::strerror(errno))};
    done += static_cast<size_t>(n);
  }
  return {};
}

}  // namespace golf
