#include "tools/together.h"

#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "kernels/threads.h"
#include "runtime/launch.h"
#include "tools/bus_error.h"
#include "tools/lack_of_memory.h"

namespace golf {
namespace {

Status CheckSameCommand(ProcessGroup& group, int argc, char** argv) {
  std::string arguments;
  for (int i = 1; i < argc; ++i) arguments.append(argv[i]).push_back('\0');
  return group.CheckSame(
      std::as_bytes(std::span(arguments)),
      {Code::kUsage, "has another command line than rank 0; start all of a job with the same"});
}

Status ShareCores(ProcessGroup& group) {
  struct Place {
    char host[256];
    cpu_set_t cores;
  };
  Place mine{};
  gethostname(mine.host, sizeof mine.host - 1);
  sched_getaffinity(0, sizeof mine.cores, &mine.cores);
  GOLF_ASSIGN(const auto all, group.Gather(std::span<const Place>(&mine, 1)));
  int sharers = 0;
  for (const auto& place : all) {
    cpu_set_t common;
    CPU_AND(&common, &mine.cores, &place.at(0).cores);
    if (std::string_view(place[0].host) == mine.host && CPU_COUNT(&common) > 0) ++sharers;
  }
  // NOLINTNEXTLINE(concurrency-mt-unsafe): nothing changes the environment
  if (sharers == 0 || std::getenv("OMP_NUM_THREADS") != nullptr) return {};
  SetThreads(std::clamp(CPU_COUNT(&mine.cores) / sharers, 1, kMaxThreads));
  return {};
}

Status RunShared(CLI::App& app, int argc, char** argv, OutputFlags& output, ProcessGroup& group,
                 const std::function<Status(ProcessGroup&)>& body) {
  GOLF_TRY(CheckSameCommand(group, argc, argv));
  GOLF_TRY(ShareCores(group));
  if (group.rank() > 0 && std::freopen("/dev/null", "w", stdout) == nullptr) {
    return {Code::kIo, "/dev/null: cannot open"};
  }
  return ParseAndRun(app, argc, argv, [&] {
    output.quiet |= group.rank() > 0;
    return body(group);
  });
}

}  // namespace

int RunTogether(CLI::App& app, int argc, char** argv, OutputFlags& output,
                const std::function<Status(ProcessGroup&)>& body) {
  const Launch launch = ReadLaunch();
  if (!launch.several) {
    return RunProgram(app, argc, argv, [&] { return body(OneProcess()); });
  }
  PrepareStreams();
  ReportBusErrors();  // before MPI asks for these signals too
  ReportLackOfMemory();
  const Result<std::unique_ptr<ProcessGroup>> group = JoinProcesses(launch);
  if (!group.ok()) {
    return Finish(
        {group.status().code(), fmt::format("rank {}: {}", launch.rank, group.status().message())});
  }
  const Status status = (*group)->Agree(RunShared(app, argc, argv, output, **group, body));
  return (*group)->rank() == 0 ? Finish(status) : static_cast<int>(status.code());
}

}  // namespace golf
