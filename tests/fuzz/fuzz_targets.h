// The readers of everything that can come from a stranger, each as a function that takes any bytes. It builds a file from
// them, mends the checksums that would hide the inside of the file, reads it, and checks what must hold of a file that was
// accepted. A broken promise aborts. The first byte of an input chooses between forms that each function describes.
#pragma once
#include <cstdint>
#include <span>
#include <string_view>

namespace golf::test {

void FuzzArtifact(std::span<const uint8_t> input);
void FuzzAudit(std::span<const uint8_t> input);
void FuzzCheckpoint(std::span<const uint8_t> input);
void FuzzHessians(std::span<const uint8_t> input);
void FuzzJson(std::span<const uint8_t> input);
void FuzzProgram(std::span<const uint8_t> input);
void FuzzRecipe(std::span<const uint8_t> input);
void FuzzSafetensors(std::span<const uint8_t> input);
void FuzzShard(std::span<const uint8_t> input);
void FuzzTokenizer(std::span<const uint8_t> input);

struct FuzzTarget {
  std::string_view name;  // also of its folder in tests/fuzz/corpus
  void (*run)(std::span<const uint8_t> input);
};

inline constexpr FuzzTarget kFuzzTargets[] = {
    {"artifact", FuzzArtifact},
    {"audit", FuzzAudit},
    {"checkpoint", FuzzCheckpoint},
    {"hessians", FuzzHessians},
    {"json", FuzzJson},
    {"program", FuzzProgram},
    {"recipe", FuzzRecipe},
    {"safetensors", FuzzSafetensors},
    {"shard", FuzzShard},
    {"tokenizer", FuzzTokenizer},
};

}  // namespace golf::test
