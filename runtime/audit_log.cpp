#include "runtime/audit_log.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>

#include "artifact/file.h"
#include "artifact/json.h"
#include "artifact/sha256.h"

namespace golf {
namespace {

using Json = nlohmann::ordered_json;

// A score record is closed once it holds this many targets: little is missing from the log of a killed run, and a sample of
// the records can be scored again at the price of few windows.
constexpr uint64_t kTargetsPerRecord = 2048;

std::string HashOf(const std::string& line) { return ToHex(Sha256::Of(AsBytes(line))); }

template <class Call>
int Retrying(const Call& call) {
  int result;
  do {
    result = call();
  } while (result < 0 && errno == EINTR);
  return result;
}

// A cheap fingerprint of the weights after training, to compare runs and replays by.
std::string Fingerprint(const TensorSet& weights) {
  const std::span<const float> all = weights.all();
  return fmt::format("{:016x}", XXH3_64bits(all.data(), all.size_bytes()));
}

}  // namespace

AuditRecords::AuditRecords(std::string artifact_sha256)
    : head_(64, '0'), weights_version_(std::move(artifact_sha256)) {}

Status AuditRecords::Header(const RunFacts& facts) {
  Json header = {{"type", "header"}, {"format", "golf-audit"}, {"version", 2}};
  header.update(ToJson(facts));
  return Write(std::move(header));
}

void AuditRecords::StartBehind(const std::string& header_line) { head_ = HashOf(header_line); }

Status AuditRecords::Scored(const ScoredWindow& scored) {
  if (pending_.targets > 0 &&
      (scored.window.first_target() != end_ || pending_.targets >= kTargetsPerRecord)) {
    GOLF_TRY(FlushScored());
  }
  if (pending_.targets == 0) {
    begin_ = scored.window.first_target();
    first_start_ = scored.window.start;
  }
  last_start_ = scored.window.start;
  end_ = scored.window.end_target();
  for (size_t i = 0; i < scored.nll.size(); ++i) pending_.Add(scored.nll[i], scored.bytes[i]);
  return std::exchange(first_, false) ? FlushScored() : Status();
}

Status AuditRecords::FlushScored() {
  if (pending_.targets == 0) return {};
  GOLF_TRY(Write({{"type", "score"},
                  {"range", {begin_, end_}},
                  {"weights", weights_version_},
                  {"starts", {first_start_, last_start_}},
                  {"nll_nats", pending_.nll_nats},
                  {"bytes", pending_.bytes},
                  {"count", pending_.targets}}));
  totals_.nll_nats += pending_.nll_nats;
  totals_.bytes += pending_.bytes;
  totals_.targets += pending_.targets;
  pending_ = {};
  return {};
}

Status AuditRecords::Trained(const TrainedChunk& trained) {
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

Status AuditRecords::End() {
  GOLF_TRY(FlushScored());
  return Write({{"type", "end"},
                {"weights", weights_version_},
                {"nll_nats", totals_.nll_nats},
                {"bytes", totals_.bytes},
                {"count", totals_.targets},
                {"loss_nats", totals_.loss_nats()},
                {"bits_per_byte", totals_.bits_per_byte()}});
}

Status AuditRecords::Write(Json record) {
  record["prev"] = head_;
  const std::string line = DumpJson(record);
  head_ = HashOf(line);
  return Take(line);
}

AuditLog::AuditLog(std::string path, int descriptor, std::string artifact_sha256)
    : AuditRecords(std::move(artifact_sha256)), path_(std::move(path)), descriptor_(descriptor) {}

AuditLog::~AuditLog() { close(descriptor_); }

Status AuditLog::Fault(const char* action) const {
  return {Code::kIo, fmt::format("cannot {} {}: {}", action, path_, std::strerror(errno))};
}

Result<std::unique_ptr<AuditLog>> AuditLog::Create(const std::string& path, const RunFacts& facts,
                                                   bool replace) {
  const int descriptor =
      Retrying([&] { return open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644); });
  if (descriptor < 0)
    return Status(Code::kIo, fmt::format("cannot create {}: {}", path, std::strerror(errno)));
  std::unique_ptr<AuditLog> log(new AuditLog(path, descriptor, facts.artifact_sha256));
  GOLF_TRY(log->Lock(replace));
  GOLF_TRY(log->Header(facts));
  return log;
}

// Nothing is cut off before the file is known to be nobody else's. Pipes and devices are shared by nature.
Status AuditLog::Lock(bool replace) {
  struct stat info {};
  if (fstat(descriptor_, &info) != 0) return Fault("stat");
  if (!S_ISREG(info.st_mode)) return {};
  if (Retrying([&] { return flock(descriptor_, LOCK_EX | LOCK_NB); }) != 0) {
    if (errno != EWOULDBLOCK) return Fault("lock");
    return {Code::kBusy, fmt::format("{}: another process writes this audit log", path_)};
  }
  if (fstat(descriptor_, &info) != 0) return Fault("stat");  // what the last writer left
  if (info.st_size == 0) return {};
  if (!replace) {
    return {Code::kUsage,
            fmt::format("{} is there already; give another name, or --force to replace it", path_)};
  }
  return Retrying([&] { return ftruncate(descriptor_, 0); }) == 0 ? Status() : Fault("truncate");
}

Status AuditLog::Take(const std::string& line) {
  const std::string whole = line + '\n';
  for (size_t done = 0; done < whole.size();) {
    const ssize_t n = write(descriptor_, whole.data() + done, whole.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Fault("write");
    done += static_cast<size_t>(n);
  }
  return {};
}

Status AuditLog::Finish() {
  GOLF_TRY(End());
  const int synced = Retrying([&] { return fsync(descriptor_); });
  if (synced != 0 && errno != EINVAL && errno != EROFS) return Fault("sync");  // EINVAL: a pipe
  return {};
}

}  // namespace golf
