// Packing into a byte budget: the least loss of quality whose file is small enough, found on sizes of whole files.
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "artifact/packing.h"

namespace golf {

struct FitTask {
  std::span<const TensorView> tensors;
  EncodeOptions options;  // Hessians and GPTQ; options.prune is where pruning starts
  int level = 22;
  uint64_t max_bytes = 0;  // of the artifact alone
  // The size of the whole file with these tensors.
  std::function<uint64_t(std::span<const EncodedTensor>, int level)> artifact_bytes;
};

// One file that was tried.
struct FitTry {
  std::string what;  // "37 of 312 steps down, 2.1 % pruned, level 16"
  uint64_t bytes;
  double loss;  // sum over matrices of the error's share (TensorEncoder::ErrorShare)
};

struct FitResult {
  std::vector<EncodedTensor> tensors;
  int level = 22;
  double loss = 0;
  double pruned = 0;         // share of all weights that became zero before codes were chosen
  bool fits = false;         // if not, `tensors` are the smallest that was found
  std::vector<FitTry> path;  // in order
};

// Starts with int8 for what the packing stores as codes, and with floats for what it stores as floats. From there it goes
// down in steps of half a bit (a matrix of floats: to int8 or below), always the step that costs least error for the bytes
// it saves, until the file fits (bisection over the number of steps). What is then left over is spent on taking back steps
// that fit into it, or, if that loses less, on pruning the last allocation that did not fit (bisection over the share).
// Below the last step only pruning is left. Keeps every matrix at every step: about twelve bytes for each weight.
Result<FitResult> FitByError(const Packing& packing, const FitTask& task);

// PR 1232's ladder: int6, then int5 in one more layer at a time, from the middle outwards; zstd levels 16, 1, 17, 2 in this
// order; the first that fits. kUsage unless the packing is one of PR 1232's.
Result<FitResult> FitByLadder(const Packing& packing, const FitTask& task);

// The ladder's order of layers: for 11 of them 5, 6, 4, 7, 3, 8, 2, 9, 1, 10, 0.
std::vector<int> LadderOrder(int layers);
// A packing of PR 1232 with these layers' attention and MLP as int5.
Packing WithInt5Layers(Packing packing, std::span<const int> layers);

}  // namespace golf
