#include "runtime/launch.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>

#include "kernels/base/numbers.h"

namespace golf {
namespace {

struct Launcher {
  const char *size, *rank;
};
constexpr Launcher kLaunchers[] = {{"OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"},
                                   {"PMI_SIZE", "PMI_RANK"},
                                   {"SLURM_STEP_NUM_TASKS", "SLURM_PROCID"}};

#define GOLF_TEXT_OF(name) #name
#define GOLF_TEXT(name) GOLF_TEXT_OF(name)

std::string ModulePath() {
  std::error_code error;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", error);
  return (program.parent_path().parent_path() / "lib" / "golf_mpi.so").string();
}

std::string DlError() {
  const char* error = dlerror();  // NOLINT(concurrency-mt-unsafe): before any thread is started
  return error == nullptr ? "unknown error" : error;
}

}  // namespace

Launch ReadLaunch() {
  // NOLINTBEGIN(concurrency-mt-unsafe): nothing changes the environment
  for (const Launcher& launcher : kLaunchers) {
    const char* size = std::getenv(launcher.size);
    const size_t processes = size == nullptr ? 0 : ParseCount(size).value_or(0);
    if (processes == 0) continue;
    const char* rank = std::getenv(launcher.rank);
    return {processes != 1, processes, rank == nullptr ? "?" : rank, launcher.size};
  }
  const char* rank = std::getenv("PMIX_RANK");
  // NOLINTEND(concurrency-mt-unsafe)
  if (rank == nullptr) return {};
  return {true, 0, rank, "PMIX_RANK"};
}

Result<std::unique_ptr<ProcessGroup>> JoinProcesses(const Launch& launch) {
  const std::string path = ModulePath();
  const std::string meant =
      launch.processes == 0
          ? fmt::format("{} says that this is one of several processes", launch.variable)
          : fmt::format("{} processes share this job ({})", launch.processes, launch.variable);
  const auto fails = [&](const std::string& why) {
    return Status(Code::kIo, fmt::format("{}, and the module that joins them cannot be used: {}; "
                                         "build golf where CMake finds MPI and keep {} there, or "
                                         "start one process without mpirun or srun",
                                         meant, why, path));
  };
  // Open MPI loads parts of its own, which look for its symbols among the global ones.
  void* module = dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (module == nullptr) return fails(DlError());
  const auto open =
      reinterpret_cast<OpenProcessGroup>(dlsym(module, GOLF_TEXT(GOLF_OPEN_PROCESS_GROUP)));
  if (open == nullptr) return fails(DlError() + " (it is of another version)");
  std::unique_ptr<ProcessGroup> group(open());
  const size_t found = group->size();
  if (launch.processes != 0 ? found != launch.processes : found == 1 && launch.rank != "0") {
    return Status(Code::kUsage,
                  fmt::format("{}, but MPI finds {}: launcher and MPI library do not belong "
                              "together; use the mpirun of the MPI that golf was built with, or "
                              "srun --mpi=pmix where Slurm has it",
                              meant, found));
  }
  return group;
}

}  // namespace golf
