// Numbers as people write them. Every flag, every --set and every environment variable of the programs is read by these
// functions, so that one spelling means one number everywhere.
//
// Digits are decimal; leading zeros change nothing (0100 is 100). '_' may stand between two digits. An exponent and a
// fraction are allowed where the result is a whole number: 16e6, 1.5e3. Signs, hexadecimal and octal forms are refused, and
// so is a number that does not fit: nothing wraps and nothing is clamped.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace golf {

// A whole number from 0 to 2^64 - 1. Nothing if `text` is no such number.
std::optional<uint64_t> ParseCount(std::string_view text);

// The same, with a unit if wanted: B, kB, MB, GB (powers of 1000), KiB, MiB, GiB (powers of 1024), in any case, after one
// space at most. 1.5MiB is 1572864.
std::optional<uint64_t> ParseBytes(std::string_view text);

// A finite number, with a sign, a fraction and an exponent if wanted. Nothing for NaN, infinity, and for numbers too large
// or too small for a double.
std::optional<double> ParseReal(std::string_view text);

// `text` for a message: a long one is shortened.
std::string Shortened(std::string_view text);

}  // namespace golf
