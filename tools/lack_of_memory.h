// Ends the process with a sentence and Code::kIo where memory is lacking at a place that cannot say so.
#pragma once

namespace golf {

inline constexpr char kNoMemory[] =
    "not enough memory; ask for less (a smaller --batch, --micro-batch or window, fewer --threads) "
    "or raise the limit (ulimit -v)";

// For main(), once. std::bad_alloc usually reaches it; this is for those that end in code that lets no exception pass. Also
// has the system hand out the main thread's stack now: later it could only refuse by ending the process.
void ReportLackOfMemory();

}  // namespace golf
