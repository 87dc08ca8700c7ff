#include "kernels/gather_rows.h"

#include <cstring>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/variant.h"

namespace golf::cpu {
namespace {

template <class T>
void GatherRows(size_t n, size_t c, const T* src, const int32_t* row, T* dst) {
  ParallelRows(n, c, [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i)
      std::memcpy(dst + i * c, src + static_cast<size_t>(row[i]) * c, c * sizeof(T));
  });
}

}  // namespace

void FillGather(KernelTable& table) {
  table.f32.gather_rows = GatherRows<float>;
  table.b16.gather_rows = GatherRows<bf16>;
}

}  // namespace golf::cpu
