// Several processes that do one job together. Each holds everything (weights, text, settings), takes its share of the
// work by global index, and learns what the others found, so that all go on from the same state.
//
// The processes call Gather() and Sum() equally often and in the same order. A failure that only one of them sees needs
// no care: it returns up to main, whose last Agree() meets the others' next Gather(), and they fail with it.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "kernels/base/status.h"

namespace golf {

class ProcessGroup {
 public:
  ProcessGroup() = default;
  virtual ~ProcessGroup() = default;
  ProcessGroup(const ProcessGroup&) = delete;
  ProcessGroup& operator=(const ProcessGroup&) = delete;

  virtual size_t rank() const = 0;
  virtual size_t size() const = 0;

  // values <- the sum over processes, added in the order of ranks: ((v0 + v1) + v2) + ..., the same bits in each process.
  // All give equally many.
  virtual void Sum(std::span<float> values) = 0;

  // What each process gave, by rank; the lengths may differ. A process that cannot go on gives its failure instead: then
  // all get that of the lowest rank, here and, without a word between them, in every call from here on.
  template <class T>
  Result<std::vector<std::vector<T>>> Gather(std::span<const T> mine, const Status& failure = {}) {
    static_assert(std::is_trivially_copyable_v<T>);
    GOLF_ASSIGN(const std::vector<Bytes> all, GatherBytes(std::as_bytes(mine), failure));
    std::vector<std::vector<T>> values(all.size());
    for (size_t r = 0; r < all.size(); ++r) {
      values[r].resize(all[r].size() / sizeof(T));
      if (!values[r].empty()) std::memcpy(values[r].data(), all[r].data(), all[r].size());
    }
    return values;
  }

  // Ok if all processes come with that; otherwise the failure of the lowest rank.
  Status Agree(const Status& mine);

  // What rank 0 says: its clock, its choice.
  template <class T>
  Result<T> OfRankZero(const T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    GOLF_ASSIGN(const std::vector<Bytes> all, GatherBytes(std::as_bytes(std::span(&value, 1)), {}));
    T theirs;
    std::memcpy(&theirs, all[0].data(), sizeof theirs);
    return theirs;
  }
  Result<std::string> OfRankZero(const std::string& text);

  // False if it is for one of them.
  Result<bool> ForAll(bool mine);

  // Ok if all have the same bytes; otherwise `difference` with the first rank that has others in front: "rank 1 " and,
  // say, "reads another text than rank 0".
  Status CheckSame(std::span<const std::byte> bytes, const Status& difference);

 protected:
  using Bytes = std::vector<std::byte>;

 private:
  virtual std::vector<Bytes> Exchange(std::span<const std::byte> mine) = 0;  // all get all
  Result<std::vector<Bytes>> GatherBytes(std::span<const std::byte> mine, const Status& failure);

  Status failure_;
};

// The part [begin, end) of n pieces of work that falls to a rank: neighbours, in the order of ranks, equally many but one.
struct Share {
  size_t begin, end;
  size_t size() const { return end - begin; }
};
inline Share ShareOf(size_t n, size_t rank, size_t size) {
  return {n * rank / size, n * (rank + 1) / size};
}
inline Share MyShare(size_t n, const ProcessGroup& group) {
  return ShareOf(n, group.rank(), group.size());
}

// A process by itself. It has no state.
ProcessGroup& OneProcess();

}  // namespace golf
