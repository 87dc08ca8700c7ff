// The plan of a pass over a program: which rows each value needs, which values must be kept for backward, which
// gradients exist, and where everything lies in one arena. Made once; its peak is known before the first pass.
//
// Rows. In score mode only Q rows per window are wanted. Walking the list backwards from the loss, each value needs
// either those rows or all of them: row-wise operations pass the demand on, attention wants every key and value but only
// the wanted queries. An operation that computes wanted rows only and reads a value that exists in full reads a gathered
// copy of it. Everything past the last attention's keys and values thus costs Q rows, not T.
//
// Time. Forward step s runs at time s, backward of step s at 2S-1-s, S the number of steps.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/ops.h"
#include "runtime/executor.h"

namespace golf {

enum class Rows : uint8_t { kWanted, kAll };

struct PlannedBuffer {
  std::string
      name;  // "x0", "x0.wanted" (gathered rows), "d.x0" (gradient), "block3.attention.lse", ...
  size_t rows, width;
  const char* type;   // "f32", "bf16" or "i32"
  size_t bytes;       // rounded up to 64
  int first, last;    // lifetime, inclusive
  size_t offset = 0;  // in the arena
};

constexpr int kNoBuffer = -1;

struct PlannedGradient {
  // Gradient of an input; none: nobody needs it, or it is already in place (pass-through).
  int buffer = kNoBuffer;
  bool add = false;  // a later step has written to it already
  // The value is read twice by one step: this use goes here and is then added to `buffer`.
  int second = kNoBuffer;
};

struct PlannedStep {
  Rows rows = Rows::kAll;   // of the output
  std::vector<int> inputs;  // buffer of each input as the step reads it (possibly gathered)
  int output = kNoBuffer;
  int saved = kNoBuffer;    // what forward keeps for backward: bigram buckets, log-sum-exps
  int scratch = kNoBuffer;  // of backward
  bool backward = false;
  int output_gradient = kNoBuffer;
  std::vector<PlannedGradient> input_gradients;
};

struct PlannedGather {
  size_t before_step;  // runs before this forward step
  int from, to;        // buffers
};

struct Plan {
  size_t batch, length, wanted_rows;  // B, T, Q
  std::vector<PlannedBuffer> buffers;
  std::vector<PlannedStep> steps;
  std::vector<PlannedGather> gathers;
  std::vector<int> value_buffer;     // per value: its full or wanted rows, as computed
  std::vector<int> gradient_buffer;  // per value, or kNoBuffer
  size_t arena_bytes = 0;
};

// `attention_scratch` is OpKernels::attention_backward_scratch of the kernels that will run it. options.trainable and
// options.length are filled. Keeps no reference.
Plan MakePlan(const schema::ProgramT& program, const ExecutorOptions& options,
              size_t (*attention_scratch)(AttentionDims));

std::string FormatPlan(const Plan& plan);

}  // namespace golf
