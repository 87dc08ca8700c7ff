// Passes and training steps allocate when they are planned, not when they run. Counts every call of malloc and its
// relatives, our own and oneDNN's apart. oneDNN keeps small notes of each call, so only blocks of a page and more count.
// With AVX-512 its products take all memory from the caller. Without it, its driver for float products (gemm:jit, the only
// one there is) asks for the memory of its copies in each call, whatever scratchpad it is given: the test then asserts that
// we ask for nothing, and prints oneDNN's number.
#include <dlfcn.h>
#include <dnnl.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <tuple>

#include "kernels/threads.h"
#include "schemas/program_generated.h"
#include "tests/trainer/tiny.h"
#include "trainer/initialise.h"
#include "trainer/recipe.h"
#include "trainer/trainer.h"

#ifdef GOLF_SANITIZE
#define GOLF_COUNTS_ALLOCATIONS 0  // a sanitizer's own malloc cannot be wrapped
#else
#define GOLF_COUNTS_ALLOCATIONS 1
#endif

namespace {

constexpr size_t kPage = 4096;
std::atomic<bool> counting{false};
std::atomic<size_t> pages{0};         // blocks of a page and more
std::atomic<size_t> onednn_pages{0};  // likewise, asked for by oneDNN

// The library that holds the function.
const void* LibraryOf(const void* function) {
  Dl_info info{};
  return dladdr(function, &info) != 0 ? info.dli_fbase : nullptr;
}

const void* OneDnn() {
  static const void* const library = LibraryOf(reinterpret_cast<const void*>(&dnnl_version));
  return library;
}

}  // namespace

#if GOLF_COUNTS_ALLOCATIONS
// `caller`: the address to which the function returns.
static void* Count(size_t bytes, const void* caller, void* block) {
  if (counting && bytes >= kPage) ++(LibraryOf(caller) == OneDnn() ? onednn_pages : pages);
  return block;
}
#define GOLF_CALLER __builtin_return_address(0)

extern "C" {
// NOLINTBEGIN(bugprone-reserved-identifier): glibc's own names for what is replaced
void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);
// NOLINTEND(bugprone-reserved-identifier)

void* malloc(size_t bytes) { return Count(bytes, GOLF_CALLER, __libc_malloc(bytes)); }
void* calloc(size_t n, size_t bytes) {
  return Count(n * bytes, GOLF_CALLER, __libc_calloc(n, bytes));
}
void* realloc(void* p, size_t bytes) { return Count(bytes, GOLF_CALLER, __libc_realloc(p, bytes)); }
void* memalign(size_t alignment, size_t bytes) {
  return Count(bytes, GOLF_CALLER, __libc_memalign(alignment, bytes));
}
void* aligned_alloc(size_t alignment, size_t bytes) {
  return Count(bytes, GOLF_CALLER, __libc_memalign(alignment, bytes));
}
int posix_memalign(void** p, size_t alignment, size_t bytes) {
  *p = Count(bytes, GOLF_CALLER, __libc_memalign(alignment, bytes));
  return *p == nullptr ? ENOMEM : 0;
}
}
#endif

namespace golf {
namespace {

// Precision and number of threads. Large enough for the arena's buffers to be many pages each.
class Allocations : public testing::TestWithParam<std::tuple<Precision, int>> {
 protected:
  Allocations() : recipe_(*ParseRecipe(test::kTinyRecipe, "tiny")) {
    recipe_.network.window = 256;
    recipe_.network.model_dim = 64;
    recipe_.network.mlp_hidden = 192;
    recipe_.train.batch.tokens = 4 * 256;
    program_ = BuildNetwork(recipe_.network);
    ids_.resize(recipe_.train.batch.tokens);
    for (size_t i = 0; i < ids_.size(); ++i) ids_[i] = static_cast<int32_t>(i * i % 32);
  }

  void SetUp() override { SetThreads(std::get<1>(GetParam())); }
  void TearDown() override { SetThreads(threads_); }

  static Precision precision() { return std::get<0>(GetParam()); }
  TensorSet Weights() const { return InitialWeights(recipe_.network, *program_, 1); }

  // Blocks of a page and more that `f` asks for, when it does not run for the first time. oneDNN's count where its product
  // is one that takes all memory from us.
  template <class F>
  static size_t PagesOf(const F& f) {
    f();
    pages = onednn_pages = 0;
    counting = true;
    f();
    counting = false;
    if (TakesMemoryFromUs()) return pages + onednn_pages;
    std::printf("oneDNN, which has no product without allocations here, asked for %zu blocks\n",
                onednn_pages.load());
    return pages;
  }

  static bool TakesMemoryFromUs() {
    constexpr auto kAvx512 = static_cast<unsigned>(dnnl_cpu_isa_avx512_core);
    return (static_cast<unsigned>(dnnl_get_effective_cpu_isa()) & kAvx512) == kAvx512;
  }

  const int threads_ = Threads();
  Recipe recipe_;
  std::unique_ptr<schema::ProgramT> program_;
  std::vector<int32_t> ids_;
};

TEST_P(Allocations, AreCounted) {
  if (!GOLF_COUNTS_ALLOCATIONS) GTEST_SKIP() << "a sanitizer has its own malloc";
  EXPECT_EQ(PagesOf([] { EXPECT_NE(std::vector<char>(kPage).data(), nullptr); }), 1U);
}

TEST_P(Allocations, ScoringMakesNone) {
  const TensorSet weights = Weights();
  ExecutorOptions options;
  options.precision = precision();
  options.batch = 2;
  options.scored_rows = 64;
  const auto executor = std::move(*Executor::Create(test::Kernels(), *program_, weights, options));
  std::vector<float> nll(2 * 64);
  const std::span<const int32_t> ids = std::span(ids_).first(2 * 256);
  const uint32_t first[] = {100, 192};
  EXPECT_EQ(PagesOf([&] { executor->Score(ids, first, ids.first(nll.size()), nll); }), 0U);
  EXPECT_EQ(PagesOf([&] { executor->WeightsChanged(FakeQuant{}); }), 0U);
}

TEST_P(Allocations, TrainingStepsMakeNone) {
  const auto trainer = std::move(
      *Trainer::Create(test::Kernels(), *program_, Weights(), recipe_.train, precision()));
  EXPECT_EQ(PagesOf([&] { EXPECT_TRUE(trainer->Step(ids_, ids_, 0, {}).ok()); }), 0U);
  EXPECT_EQ(PagesOf([&] { EXPECT_TRUE(trainer->Step(ids_, ids_, 0, {}).ok()); }), 0U);
}

std::string NameOf(const testing::TestParamInfo<std::tuple<Precision, int>>& of) {
  const auto [precision, threads] = of.param;
  return std::string(precision == Precision::kFp32 ? "Fp32" : "Bf16") + "On" +
         std::to_string(threads);
}

INSTANTIATE_TEST_SUITE_P(Of, Allocations,
                         testing::Combine(testing::Values(Precision::kFp32, Precision::kBf16),
                                          testing::Values(1, 2)),
                         NameOf);

}  // namespace
}  // namespace golf
