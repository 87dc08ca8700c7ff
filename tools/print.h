// What every program says: results on stdout, messages on stderr. Nothing here throws or ends the
// program: output that cannot be written is remembered, and Finish() (tools/cli.h) makes it exit
// code 3.
#pragma once
#include <fmt/format.h>

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <type_traits>

#include "kernels/base/printable.h"
#include "kernels/base/status.h"

namespace golf {

// Texts among the arguments of Print() are printed in their printable form; the rest is unchanged.
template <class T>
auto PrintedAs(const T& value) {
  if constexpr (std::is_convertible_v<const T&, std::string_view>) {
    return Printable(value);
  } else {
    return value;
  }
}

// Results, to stdout. A progress line on the terminal is ended first.
void PrintText(std::string_view text);  // our own lines; unprintable characters in them are escaped
template <class... Args>
void Print(fmt::format_string<decltype(PrintedAs(std::declval<const Args&>()))&...> format,
           const Args&... args) {
  const auto print = [&](auto... printed) { PrintText(fmt::format(format, printed...)); };
  print(PrintedAs(args)...);
}

void PrintJson(const nlohmann::ordered_json& json);

// Prints one line to stderr, in its printable form.
void Say(std::string_view line);
// Prints `golf-x: warning: message` to stderr.
void Warn(std::string_view message);

// kIo if something that was printed did not arrive.
Status OutputArrived();

// The progress line, where stderr is a terminal: cut to its width and rewritten each time. EndLine()
// ends it, and so does whatever is printed next.
void RewriteLine(std::string_view line);
void EndLine();

// Opens those of the descriptors 0 to 2 that are closed, so that no file of ours gets their
// numbers; reading or writing them fails as before. Writing into a closed pipe or beyond a file's
// permitted size is an error from here on, not a signal that ends the program.
void PrepareStreams();

// 16000000 -> "16,000,000".
std::string Grouped(uint64_t n);

// Units per second with three digits or more: "0.0412", "5.21", "1,234".
std::string Rate(double per_second);

// Seconds as people read them: "4.2 s", "3 min 07 s", "2 h 05 min".
std::string Duration(double seconds);

}  // namespace golf
