// Validation during training: one plain pass, windows side by side, over the whole windows of a stream.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>

#include "artifact/byte_table.h"
#include "kernels/base/status.h"
#include "runtime/executor.h"
#include "runtime/process_group.h"
#include "runtime/token_stream.h"
#include "runtime/weights.h"

namespace golf {

struct KernelTable;

struct ValidationResult {
  double loss_nats = 0;                 // mean NLL per target
  std::optional<double> bits_per_byte;  // where a byte table is known
  uint64_t targets = 0;
};

struct ValidationPass {
  const KernelTable& kernels;
  const schema::ProgramT& program;
  const TokenStream& stream;    // cut to whole windows
  const ByteTable* byte_table;  // may be null
  Precision precision = Precision::kFp32;
  uint32_t batch_windows = 8;  // of each process
  ProcessGroup& group;
  const std::atomic<bool>* stop = nullptr;  // once it is true a pass is abandoned; may be null
};

// `proceed` is asked before each batch; false, from one process, ends with kInterrupted, as does
// pass.stop. kBadData for a text of no bytes.
Result<ValidationResult> Validate(const ValidationPass& pass, const TensorSet& weights,
                                  const std::function<bool()>& proceed);

}  // namespace golf
