// Turns the planned steps of a program into calls of kernels: per step one forward and one backward closure over fixed
// pointers. Built once with the plan; running them allocates nothing.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "kernels/rope.h"
#include "kernels/table.h"
#include "runtime/plan.h"
#include "runtime/weights.h"

namespace golf {

// Shared by the steps that turn alike.
struct SharedRope {
  RopeSettings settings;
  RopeTables tables;
};

// What the closures point to. Outlives them and stays where it is.
struct StepOperands {
  std::byte* arena = nullptr;
  const TensorSet* weights = nullptr;
  std::vector<const void*>
      gemm_weight;  // per weight: the matrix as the GEMMs read it; refilled by WeightsChanged
  std::vector<bool> trainable;  // per weight
  std::vector<std::unique_ptr<SharedRope>> rope;
  // Inputs of a pass.
  const int32_t* ids = nullptr;              // (B, T)
  const int32_t* targets = nullptr;          // (B, Q)
  const uint32_t* first_row = nullptr;       // (B)
  const uint32_t* first_row_zero = nullptr;  // (B) zeros
  const int32_t* position = nullptr;         // (B, T): t
  const int32_t* wanted_position = nullptr;  // (B, Q)
  const int32_t* wanted_row = nullptr;       // (B, Q): b * T + position
  float loss_gradient = 0;                   // d(loss) / d(nll) of each row
  TensorSet* gradients = nullptr;
};

struct StepCalls {
  std::vector<std::function<void()>> forward;  // gathers included, in order; one entry per step
  std::vector<std::function<void()>>
      backward;  // per step, in forward order; empty where none is needed
};

template <class T>
StepCalls MakeStepCalls(const KernelTable& kernels, const schema::ProgramT& program,
                        const Plan& plan, StepOperands& operands);

}  // namespace golf
