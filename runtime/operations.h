// What planning and checking need to know of each operation of schemas/program.fbs. A new operation is one entry here,
// one in step_calls.cpp, and its kernels.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/base/status.h"

namespace golf {

namespace schema {
struct ProgramT;
struct StepT;
}  // namespace schema

struct OperationTraits {
  const char* name;
  // Rows. Most outputs need the same rows of their inputs; these need more.
  bool
      makes_all_rows;  // the output is always computed for every row (it reads ids, or neighbouring rows)
  uint32_t
      whole_inputs;  // bit i: input i is read at every row, whatever rows of the output are wanted
  // Backward.
  uint32_t backward_inputs;  // bit i: backward reads the value of input i
  bool backward_output;      // backward reads the value of the output
  int pass_through;          // the input whose gradient is the output's gradient unchanged, or -1
};

const OperationTraits& TraitsOf(const schema::StepT& step);

// Checks one step's operands and attributes, and gives the width of its output. `widths` holds those of all values.
Result<uint32_t> OutputWidth(const schema::ProgramT& program, const schema::StepT& step,
                             const std::vector<uint32_t>& widths);

}  // namespace golf
