#include "kernels/bigram_hash.h"

#include "kernels/cpu/variant.h"

namespace golf::cpu {

// A few integer operations per token: the definition is fast enough.
void FillBigramHash(KernelTable& table) { table.bigram_hash = ref::BigramBuckets; }

}  // namespace golf::cpu
