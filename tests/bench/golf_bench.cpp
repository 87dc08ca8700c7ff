// golf-bench: prints a table of kernels with their times and their shares of what the machine can do.
#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "kernels/threads.h"
#include "tests/bench/bench.h"
#include "tests/bench/network_bench.h"
#include "tools/number_flags.h"

int main(int argc, char** argv) {
  CLI::App app("Times every kernel in fp32 and bf16 against this machine's measured limits.");
  int threads = golf::Threads();
  double seconds = 0.3;
  std::string filter;
  int rounds = 5;
  bool network = false, profile = false;
  golf::AddCount(app, "--threads", threads, "threads to use", {1, golf::kMaxThreads});
  golf::AddReal(app, "--seconds", seconds, "time per figure");
  app.add_option("--filter", filter, "only rows whose name contains this");
  golf::AddCount(app, "--rounds", rounds, "runs of each whole pass", {.lowest = 1});
  app.add_flag("--network", network, "whole passes only");
  app.add_flag("--profile", profile, "a training pass by operations only");
  CLI11_PARSE(app, argc, argv);
  golf::SetThreads(threads);

  const auto table = golf::KernelsFor("cpu");
  if (!table.ok()) {
    fmt::print(stderr, "golf-bench: error: {}\n", table.status().message());
    return static_cast<int>(table.status().code());
  }
  fmt::print("{} {}, {} threads\n", (*table)->device, (*table)->instructions, threads);
  if (network || profile) {
    if (network) golf::bench::NetworkRows(**table, rounds, filter);
    if (profile) golf::bench::ProfileRows(**table, rounds, filter);
    return 0;
  }
  const golf::bench::Bench bench(**table, seconds, filter);
  golf::bench::GemmRows(bench);
  golf::bench::AttentionRows(bench);
  golf::bench::OpRowsOfAll(bench);
  golf::bench::OptimizerRows(bench);
  return 0;
}
