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
  std::byte* packed_weights = nullptr;  // StepCalls::packed_bytes; read when a call runs
  const TensorSet* weights = nullptr;
  std::byte* gemm_scratch = nullptr;  // StepCalls::gemm_scratch_bytes; likewise
  std::vector<bool> trainable;        // per weight
  std::vector<std::unique_ptr<SharedRope>> rope;
  size_t rope_length = 0;  // of the window that tables are made for; 0: the plan's length
  // Inputs of a pass.
  const int32_t* ids = nullptr;              // (B, T)
  const int32_t* targets = nullptr;          // (B, Q)
  const uint32_t* first_row = nullptr;       // (B)
  const uint32_t* first_row_zero = nullptr;  // (B) zeros
  const int32_t* position = nullptr;         // (B, T): t
  const int32_t* wanted_position = nullptr;  // (B, Q)
  const int32_t* wanted_row = nullptr;       // (B, Q): b * T + position
  float loss_gradient = 0;                   // d(loss) / d(nll) of each row
  const float* row_gradients = nullptr;      // (B, T): instead, where rows differ in it
  TensorSet* gradients = nullptr;
};

// A product with a weight matrix, and where its packed form lies.
struct PackedWeight {
  size_t weight;    // index
  bool fake_quant;  // takes part in quantisation-aware training
  std::shared_ptr<Gemm> product;
  size_t offset;  // in the packed weights' memory
};

struct StepCalls {
  std::vector<std::function<void()>> forward;  // gathers included, in order; one entry per step
  std::vector<std::function<void()>>
      backward;  // per step, in forward order; empty where none is needed
  // To be packed whenever the weights change.
  std::vector<PackedWeight> packed_weights;
  size_t packed_bytes = 0;
  size_t gemm_scratch_bytes = 0;  // enough for any one product
};

template <class T>
StepCalls MakeStepCalls(const KernelTable& kernels, const schema::ProgramT& program,
                        const Plan& plan, StepOperands& operands);

}  // namespace golf
