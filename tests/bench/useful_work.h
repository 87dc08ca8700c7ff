// Useful floating point operations of a pass: matrix products and attention, causal, of rows that somebody needs.
#pragma once
#include "runtime/plan.h"

namespace golf::bench {

struct UsefulWork {
  double forward = 0, backward = 0;
};

// Of one step of the planned pass. Attention multiplies queries by keys and probabilities by values, and each of the
// two has two products backward; computing probabilities anew is no use to anybody.
UsefulWork UsefulWorkOf(const schema::ProgramT& program, const Plan& plan,
                        const ExecutorOptions& options, size_t step);

UsefulWork UsefulWorkOf(const schema::ProgramT& program, const Plan& plan,
                        const ExecutorOptions& options);

// The plan of a pass on the CPU; options.trainable and options.length are filled in where they are empty.
Plan PlanOf(const KernelTable& table, const schema::ProgramT& program, ExecutorOptions& options);

}  // namespace golf::bench
