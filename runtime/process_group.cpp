#include "runtime/process_group.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <string>

namespace golf {
namespace {

class Alone final : public ProcessGroup {
 public:
  size_t rank() const override { return 0; }
  size_t size() const override { return 1; }
  void Sum(std::span<float>) override {}

 private:
  std::vector<Bytes> Exchange(std::span<const std::byte> mine) override {
    return {Bytes(mine.begin(), mine.end())};
  }
};

}  // namespace

ProcessGroup& OneProcess() {
  static Alone alone;
  return alone;
}

// What travels: the code, then the bytes, or the message of a failure.
Result<std::vector<ProcessGroup::Bytes>> ProcessGroup::GatherBytes(std::span<const std::byte> mine,
                                                                   const Status& failure) {
  if (!failure_.ok()) return failure_;
  if (!failure.ok()) mine = std::as_bytes(std::span(failure.message()));
  if (size() == 1) {
    if (!failure.ok()) return failure;
    return std::vector<Bytes>(1, Bytes(mine.begin(), mine.end()));
  }
  const int code = static_cast<int>(failure.code());
  Bytes sent(sizeof code);
  std::memcpy(sent.data(), &code, sizeof code);
  sent.insert(sent.end(), mine.begin(), mine.end());

  std::vector<Bytes> all = Exchange(sent);
  for (size_t r = 0; r < all.size(); ++r) {
    int theirs = 0;
    std::memcpy(&theirs, all[r].data(), sizeof theirs);
    all[r].erase(all[r].begin(), all[r].begin() + sizeof theirs);
    if (theirs == 0) continue;
    std::string message(all[r].size(), '\0');
    std::memcpy(message.data(), all[r].data(), all[r].size());
    if (r > 0) message.insert(0, fmt::format("rank {}: ", r));
    failure_ = Status(static_cast<Code>(theirs), std::move(message));
    return failure_;
  }
  return all;
}

Status ProcessGroup::Agree(const Status& mine) {
  // What a process made of the failure on its way up says more than the failure.
  if (!failure_.ok()) return mine.ok() ? failure_ : mine;
  return GatherBytes({}, mine).status();
}

Result<std::string> ProcessGroup::OfRankZero(const std::string& text) {
  GOLF_ASSIGN(const auto all, Gather(rank() == 0 ? std::span(text) : std::span<const char>()));
  return std::string(all[0].begin(), all[0].end());
}

Result<bool> ProcessGroup::ForAll(bool mine) {
  const auto vote = static_cast<uint8_t>(mine);
  GOLF_ASSIGN(const auto all, Gather(std::span(&vote, 1)));
  return std::ranges::all_of(all, [](const auto& theirs) { return theirs.at(0) != 0; });
}

Status ProcessGroup::CheckSame(std::span<const std::byte> bytes, const Status& difference) {
  if (size() == 1) return {};
  const uint64_t hash = XXH3_64bits(bytes.data(), bytes.size());
  GOLF_ASSIGN(const auto all, Gather(std::span(&hash, 1)));
  for (size_t r = 1; r < all.size(); ++r) {
    if (all[r] != all[0]) {
      return {difference.code(), fmt::format("rank {} {}", r, difference.message())};
    }
  }
  return {};
}

}  // namespace golf
