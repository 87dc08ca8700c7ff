// What main() of a program adds that several processes can run together, under mpirun or srun (runtime/launch.h).
#pragma once
#include "runtime/process_group.h"
#include "tools/cli.h"

namespace golf {

// RunProgram() for every process of the launch. Started plainly, that is all. Started as one of several:
// - `body` gets the group; whatever goes wrong in one process ends all with its exit code, and rank 0 prints it.
// - stdout and, in `output`, progress are rank 0's alone.
// - All have to have the same command line (kUsage).
// - Processes of one machine share its cores: each uses those that it is bound to, divided by the number of processes
//   that are bound to any of the same; OMP_NUM_THREADS or a later SetThreads() decides otherwise.
int RunTogether(CLI::App& app, int argc, char** argv, OutputFlags& output,
                const std::function<Status(ProcessGroup&)>& body);

}  // namespace golf
