// Attention on bf16 with the matrix unit of x86 processors (AMX).
#pragma once
#include "kernels/cpu/attention_task.h"

namespace golf::cpu::amx {

// Whether this process may use AMX and AVX512-BF16. The first call asks the operating system for permission.
bool Usable();

// Tasks for bf16; only where Usable(). Each file enters its own.
void FillForwardTasks(AttentionTasks<bf16>& tasks);   // attention_amx_forward.cpp
void FillBackwardTasks(AttentionTasks<bf16>& tasks);  // attention_amx_backward.cpp

}  // namespace golf::cpu::amx
