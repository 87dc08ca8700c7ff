// How this process was started: alone, or by mpirun or srun as one of several; and the way to the others.
#pragma once
#include <cstddef>
#include <memory>
#include <string>

#include "kernels/base/status.h"
#include "runtime/process_group.h"

namespace golf {

struct Launch {
  bool several = false;
  size_t processes = 1;       // 0: several or not, the launcher does not say how many
  std::string rank = "0";     // for messages
  const char* variable = "";  // of the environment, that says so
};

// Read from the environment, the first of
//   OMPI_COMM_WORLD_SIZE   Open MPI's mpirun
//   PMI_SIZE               MPICH's, Intel's and Cray's launchers; srun --mpi=pmi2
//   SLURM_STEP_NUM_TASKS   srun
//   PMIX_RANK              other launchers with PMIx: it does not say how many
// A batch script's SLURM_NTASKS says nothing about a program that the script calls plainly.
Launch ReadLaunch();

// The processes of this launch. One process needs nothing. Several are joined by golf_mpi.so, which is loaded from ../lib
// seen from the program's folder; kIo if it is missing or cannot be loaded, kUsage if MPI finds other processes than the
// launcher started: they would all do the whole work and write over each other's files.
// The group has to be destroyed before the program ends.
Result<std::unique_ptr<ProcessGroup>> JoinProcesses(const Launch& launch);

// What a module has to define, extern "C". The number in its name changes with the interface.
#define GOLF_OPEN_PROCESS_GROUP GolfOpenProcessGroup1
using OpenProcessGroup =
    ProcessGroup* (*)();  // never null: what goes wrong there ends all processes

}  // namespace golf
