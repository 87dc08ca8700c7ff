// A receipt beside the audit log that it tells of.
#pragma once
#include <nlohmann/json_fwd.hpp>

#include "kernels/base/status.h"
#include "runtime/verify_audit.h"

namespace golf {

// Ok if every field of the receipt is that of the log's header and totals, follows from other fields, or is that of the
// files given as evidence. kBadData names the field.
Status VerifyReceipt(const AuditEvidence& evidence, const nlohmann::ordered_json& header,
                     const AuditReport& report);

}  // namespace golf
