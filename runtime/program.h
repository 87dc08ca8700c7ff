// Programs (schemas/program.fbs): check, load, save. schema::ProgramT is the generated object form; include
// "schemas/program_generated.h" where its fields are needed.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kernels/base/status.h"

namespace golf {

namespace schema {
struct ProgramT;
}

// Everything the executor relies on: indices, single assignment, order, widths, weight shapes, attributes, caps on sizes.
// A program from a file must pass before it is used; the message names the step and what was expected.
Status CheckProgram(const schema::ProgramT& program);

// FlatBuffers bytes <-> object; Parse verifies the bytes and calls CheckProgram.
std::vector<uint8_t> SerialiseProgram(const schema::ProgramT& program);
Result<std::unique_ptr<schema::ProgramT>> ParseProgram(std::span<const uint8_t> bytes);

}  // namespace golf
