// Takes fuzz input apart, from front to back. An input that ran out goes on with zeros, so that every input means
// something and a shorter one means something simpler.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

namespace golf::test {

class InputReader {
 public:
  explicit InputReader(std::span<const uint8_t> input) : rest_(input) {}

  bool done() const { return rest_.empty(); }
  uint8_t Byte() { return Value<uint8_t>(); }

  // A number below n, which is 1 to 256.
  uint32_t Below(size_t n) { return static_cast<uint32_t>(Byte() % n); }

  // True for one byte of 256: for what makes a file wrong, so that most of what is built is right in all but one place.
  bool Rarely() { return Byte() == 0xff; }

  template <class T>
  T Value() {
    T value{};
    const size_t n = std::min(sizeof(value), rest_.size());
    if (n > 0) std::memcpy(&value, rest_.data(), n);
    rest_ = rest_.subspan(n);
    return value;
  }

  // The next n bytes, or as many as there are.
  std::vector<uint8_t> Bytes(size_t n) {
    const auto taken = rest_.first(std::min(n, rest_.size()));
    rest_ = rest_.subspan(taken.size());
    return {taken.begin(), taken.end()};
  }
  std::vector<uint8_t> Rest() { return Bytes(rest_.size()); }

  std::string Text(size_t n) {
    const std::vector<uint8_t> bytes = Bytes(n);
    return {bytes.begin(), bytes.end()};
  }
  std::string RestAsText() { return Text(rest_.size()); }

 private:
  std::span<const uint8_t> rest_;
};

}  // namespace golf::test
