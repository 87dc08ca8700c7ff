#include "kernels/table.h"

#include <cstdlib>
#include <optional>
#include <string>

#include "tests/kernels/op_check.h"

namespace golf {
namespace {

// GOLF_CPU as `name`, or unset where that is null; afterwards as it was.
class ForcedVariant {
 public:
  explicit ForcedVariant(const char* name) {
    if (const char* before = std::getenv("GOLF_CPU")) before_ = before;
    Set(name);
  }
  ~ForcedVariant() { Set(before_ ? before_->c_str() : nullptr); }
  ForcedVariant(const ForcedVariant&) = delete;
  ForcedVariant& operator=(const ForcedVariant&) = delete;

 private:
  static void Set(const char* name) {
    if (name == nullptr) {
      unsetenv("GOLF_CPU");
    } else {
      setenv("GOLF_CPU", name, 1);
    }
  }
  std::optional<std::string> before_;
};

TEST(KernelTable, IsTheBestVariantUnlessForced) {
  const ForcedVariant none(nullptr);
  const Result<const KernelTable*> best = CpuKernels();
  ASSERT_TRUE(best.ok());
  EXPECT_EQ(*best, Tables().back());
  const ForcedVariant forced("portable");
  const Result<const KernelTable*> portable = CpuKernels();
  ASSERT_TRUE(portable.ok());
  EXPECT_STREQ((*portable)->instructions, "portable");
}

TEST(KernelTable, RefusesUnknownVariants) {
  const ForcedVariant forced("doesnotexist");
  const Result<const KernelTable*> kernels = CpuKernels();
  ASSERT_FALSE(kernels.ok());
  EXPECT_EQ(kernels.status().code(), Code::kUsage);
  EXPECT_THAT(kernels.status().message(), testing::HasSubstr("doesnotexist"));
}

TEST(KernelTable, SaysWhenADeviceIsMissing) {
  EXPECT_TRUE(KernelsFor("cpu").ok());
  EXPECT_EQ(KernelsFor("cuda").status().code(), Code::kNoDevice);
  EXPECT_EQ(KernelsFor("abacus").status().code(), Code::kUsage);
}

// A function that was forgotten is a null pointer: look at the struct as the array of pointers it is.
template <class T>
void ExpectFull(const T& functions) {
  std::vector<void*> pointers(sizeof(T) / sizeof(void*));
  std::memcpy(pointers.data(), &functions, sizeof(T));
  for (size_t i = 0; i < pointers.size(); ++i) EXPECT_NE(pointers[i], nullptr) << "entry " << i;
}

TEST(KernelTable, HasNoHoles) {
  for (const KernelTable* table : Tables()) {
    SCOPED_TRACE(table->instructions);
    ExpectFull(table->f32);
    ExpectFull(table->b16);
    ExpectFull(table->optimizer);
    EXPECT_NE(table->bigram_hash, nullptr);
    EXPECT_NE(table->make_gemm, nullptr);
  }
}

}  // namespace
}  // namespace golf
