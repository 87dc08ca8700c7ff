// Matrix products by oneDNN's matmul. Its results depend neither on the number of threads nor, per row, on the number
// of rows for the shapes that networks have; gemm_test.cpp holds it to that.
#include <dnnl.hpp>

#include "kernels/base/check.h"
#include "kernels/cpu/variant.h"

namespace golf::cpu {
namespace {

using dnnl::memory;

const dnnl::engine& Engine() {
  static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

memory::data_type TypeOf(Element element) {
  return element == Element::kFloat ? memory::data_type::f32 : memory::data_type::bf16;
}

// A (rows, cols) matrix, stored transposed or not.
memory::desc Matrix(size_t rows, size_t cols, bool transposed, Element element) {
  const auto r = static_cast<memory::dim>(rows), c = static_cast<memory::dim>(cols);
  return {{r, c}, TypeOf(element), transposed ? memory::dims{1, r} : memory::dims{c, 1}};
}

class OneDnnGemm final : public Gemm {
 public:
  explicit OneDnnGemm(const GemmShape& s) : stream_(Engine()) {
    const memory::desc a = Matrix(s.m, s.k, s.transpose_a, s.ab);
    const memory::desc b = Matrix(s.k, s.n, s.transpose_b, s.ab);
    const memory::desc c = Matrix(s.m, s.n, false, s.c);
    dnnl::primitive_attr attributes;
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    if (s.add) {
      dnnl::post_ops sum;
      sum.append_sum(1.0F);
      attributes.set_post_ops(sum);
    }
    const dnnl::matmul::primitive_desc description({a, b, c}, attributes, Engine());
    product_ = dnnl::matmul(description);
    scratch_ = memory(description.scratchpad_desc(), Engine());
    a_ = memory(a, Engine(), nullptr);
    b_ = memory(b, Engine(), nullptr);
    c_ = memory(c, Engine(), nullptr);
    arguments_ = {{DNNL_ARG_SRC, a_},
                  {DNNL_ARG_WEIGHTS, b_},
                  {DNNL_ARG_DST, c_},
                  {DNNL_ARG_SCRATCHPAD, scratch_}};
  }

  void Run(const void* a, const void* b, void* c) override {
    a_.set_data_handle(const_cast<void*>(a), stream_);  // oneDNN has no const handles
    b_.set_data_handle(const_cast<void*>(b), stream_);
    c_.set_data_handle(c, stream_);
    product_.execute(stream_, arguments_);
    stream_.wait();
  }

 private:
  dnnl::stream stream_;
  dnnl::matmul product_;
  memory a_, b_, c_, scratch_;
  std::unordered_map<int, memory> arguments_;
};

}  // namespace

std::unique_ptr<Gemm> MakeOneDnnGemm(const GemmShape& shape) {
  GOLF_CHECK(shape.m > 0 && shape.n > 0 && shape.k > 0);
  GOLF_CHECK(shape.ab == Element::kBf16 || shape.c == Element::kFloat);
  return std::make_unique<OneDnnGemm>(shape);
}

// Fails when oneDNN has been used already; its instructions then stay as they are.
void LimitOneDnn(Variant variant) {
  if (variant == Variant::kPortable) (void)dnnl::set_max_cpu_isa(dnnl::cpu_isa::sse41);
  if (variant == Variant::kAvx2) (void)dnnl::set_max_cpu_isa(dnnl::cpu_isa::avx2);
}

}  // namespace golf::cpu
