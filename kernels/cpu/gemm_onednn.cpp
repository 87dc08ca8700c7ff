// Products of float matrices by oneDNN's matmul, in a shape of our choosing. Left alone, oneDNN splits sums by the number of
// threads and by the number of rows, so a token's loss would depend on its batch. Here B is packed once per product,
// and then every 64 rows of A go through one and the same single-threaded primitive, rows missing at the end being
// zero: a row's bits depend on nothing but the row and B.
#include "kernels/cpu/gemm_onednn.h"

#include <omp.h>  // oneDNN asks OpenMP how many threads to use; nothing else here does
#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <dnnl.hpp>
#include <new>
#include <unordered_map>
#include <vector>

#include "kernels/base/check.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/variant.h"
#include "kernels/threads.h"

namespace golf::cpu {
namespace {

using dnnl::memory;

constexpr size_t kBlockRows = 64;
constexpr memory::data_type kType = memory::data_type::f32;

// oneDNN decides by OpenMP's number of threads when it makes a primitive and again when it runs one. With one thread OpenMP
// starts none, which it would not survive where the system refuses them.
class SingleThreaded {
 public:
  SingleThreaded() : threads_(omp_get_max_threads()) { omp_set_num_threads(1); }
  ~SingleThreaded() { omp_set_num_threads(threads_); }
  SingleThreaded(const SingleThreaded&) = delete;
  SingleThreaded& operator=(const SingleThreaded&) = delete;

 private:
  int threads_;
};

// Calls f. Where oneDNN lacks memory it throws an exception of its own.
template <class F>
auto WithMemory(const F& f) {
  try {
    return f();
  } catch (const dnnl::error& error) {
    if (error.status == dnnl_out_of_memory) throw std::bad_alloc();
    throw;
  }
}

const dnnl::engine& Engine() {
  static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

// A (rows, cols) matrix, stored transposed or not.
memory::desc Matrix(size_t rows, size_t cols, bool transposed) {
  const auto r = static_cast<memory::dim>(rows), c = static_cast<memory::dim>(cols);
  return {{r, c}, kType, transposed ? memory::dims{1, r} : memory::dims{c, 1}};
}

// oneDNN knows no const handles.
memory Borrow(const memory::desc& desc, const void* data) {
  return {desc, Engine(), const_cast<void*>(data)};
}

// The product of one block of rows.
struct BlockProduct {
  dnnl::matmul::primitive_desc description;
  dnnl::matmul run;
};

// Description and primitive are both made under one thread: oneDNN bakes the number in, and keeps what it made in a
// cache by that number; a description from the cache must find its primitive there (2.6.3 would otherwise build the
// primitive from attributes that are gone).
BlockProduct MakeBlockProduct(const GemmShape& s) {
  const auto k = static_cast<memory::dim>(s.k), n = static_cast<memory::dim>(s.n);
  const memory::desc a = Matrix(kBlockRows, s.k, false);
  const memory::desc b({k, n}, kType, memory::format_tag::any);
  const memory::desc c = Matrix(kBlockRows, s.n, false);
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  if (s.add) {
    dnnl::post_ops sum;
    sum.append_sum(1.0F);
    attributes.set_post_ops(sum);
  }
  const SingleThreaded scope;
  BlockProduct block;
  block.description = {{a, b, c}, attributes, Engine()};
  if (block.description) block.run = dnnl::matmul(block.description);
  return block;
}

class BlockwiseGemm final : public Gemm {
 public:
  BlockwiseGemm(const GemmShape& s, const BlockProduct& block)
      : shape_(s),
        product_(block.run),
        stream_(Engine()),
        blocks_((s.m + kBlockRows - 1) / kBlockRows),
        b_stored_(Borrow(Matrix(s.k, s.n, s.transpose_b), nullptr)),
        b_packed_(Borrow(block.description.weights_desc(), nullptr)),
        pack_b_(b_stored_, b_packed_) {
    a_bytes_ = AlignUp(kBlockRows * s.k * sizeof(float));
    c_bytes_ = AlignUp(kBlockRows * s.n * sizeof(float));
    worker_bytes_ = AlignUp(block.description.scratchpad_desc().get_size());
    const size_t workers = std::min(blocks_, static_cast<size_t>(Threads()));
    for (size_t i = 0; i < workers; ++i) workers_.emplace_back(block.description);
  }

  size_t packed_bytes() const override { return b_packed_.get_desc().get_size(); }
  size_t scratch_bytes() const override {
    return a_bytes_ + c_bytes_ + workers_.size() * worker_bytes_;
  }

  void Pack(const void* b, void* packed, void* /*scratch*/) override {
    b_stored_.set_data_handle(const_cast<void*>(b));
    b_packed_.set_data_handle(packed);
    const SingleThreaded scope;
    WithMemory([&] {
      pack_b_.execute(stream_, b_stored_, b_packed_);
      stream_.wait();
    });
  }

  void Multiply(const void* a, const void* packed, void* c, void* scratch) override {
    Call call{static_cast<const std::byte*>(a), const_cast<void*>(packed),
              static_cast<std::byte*>(c), static_cast<std::byte*>(scratch), nullptr};
    call.tail_c = call.tail_a + a_bytes_;
    const size_t workers = std::min(workers_.size(), static_cast<size_t>(Threads()));
    ParallelFor(workers, 1, [&](size_t begin, size_t end) {
      const SingleThreaded scope;
      Worker& worker = workers_[begin];
      worker.b.set_data_handle(call.packed, worker.stream);
      worker.scratch.set_data_handle(call.tail_c + c_bytes_ + begin * worker_bytes_, worker.stream);
      WithMemory([&] {
        for (size_t block = blocks_ * begin / workers; block < blocks_ * end / workers; ++block)
          RunBlock(worker, block, call);
      });
    });
  }

 private:
  // What a thread needs to run the primitive at the same time as others.
  struct Worker {
    dnnl::stream stream;
    memory a, b, c, scratch;
    std::unordered_map<int, memory> arguments;

    explicit Worker(const dnnl::matmul::primitive_desc& block)
        : stream(Engine()),
          a(Borrow(block.src_desc(), nullptr)),
          b(Borrow(block.weights_desc(), nullptr)),
          c(Borrow(block.dst_desc(), nullptr)),
          scratch(Borrow(block.scratchpad_desc(), nullptr)),
          arguments{{DNNL_ARG_SRC, a},
                    {DNNL_ARG_WEIGHTS, b},
                    {DNNL_ARG_DST, c},
                    {DNNL_ARG_SCRATCHPAD, scratch}} {}
  };

  struct Call {
    const std::byte* a;
    void* packed;
    std::byte* c;
    std::byte* tail_a;  // the last rows of A, padded with zeros to a whole block
    std::byte* tail_c;  // and of C
  };

  size_t TailRows() const { return shape_.m % kBlockRows; }

  void RunBlock(Worker& worker, size_t block, const Call& call) {
    const size_t a_bytes = shape_.k * sizeof(float),
                 c_bytes = shape_.n * sizeof(float);  // of a row
    const size_t row = block * kBlockRows;
    const bool tail = row + kBlockRows > shape_.m;
    const std::byte* from = call.a + row * a_bytes;
    std::byte* to = call.c + row * c_bytes;
    if (tail) {
      std::memcpy(call.tail_a, from, TailRows() * a_bytes);
      std::memset(call.tail_a + TailRows() * a_bytes, 0, (kBlockRows - TailRows()) * a_bytes);
      if (shape_.add) std::memcpy(call.tail_c, to, TailRows() * c_bytes);
      from = call.tail_a;
      to = call.tail_c;
    }
    worker.a.set_data_handle(const_cast<std::byte*>(from), worker.stream);
    worker.c.set_data_handle(to, worker.stream);
    product_.execute(worker.stream, worker.arguments);
    worker.stream.wait();
    if (tail) std::memcpy(call.c + row * c_bytes, to, TailRows() * c_bytes);
  }

  GemmShape shape_;
  dnnl::matmul product_;
  dnnl::stream stream_;
  size_t blocks_;
  memory b_stored_, b_packed_;
  dnnl::reorder pack_b_;
  size_t a_bytes_, c_bytes_, worker_bytes_;  // of the parts of scratch
  std::vector<Worker> workers_;
};

// oneDNN generates code without looking whether it was given the memory for it. So there has to be some before it does,
// where the lack of it can still be said.
void RequireMemory() {
  constexpr size_t kBytes = 16 << 20;
  void* const room = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (room == MAP_FAILED) throw std::bad_alloc();
  munmap(room, kBytes);
}

// Some of the code is generated by the first product that runs: a small one, before others take the memory.
void RunFirstProduct() {
  static const bool done = [] {
    const GemmShape shape{kBlockRows, kBlockRows, kBlockRows};
    WholeProduct product(std::make_unique<BlockwiseGemm>(shape, MakeBlockProduct(shape)));
    const AlignedBytes operands = AllocateAligned(3 * kBlockRows * kBlockRows * sizeof(float));
    if (operands == nullptr) throw std::bad_alloc();
    auto* const a = reinterpret_cast<float*>(operands.get());
    std::fill_n(a, 3 * kBlockRows * kBlockRows, 0.0F);
    product.Run(a, a + kBlockRows * kBlockRows, a + 2 * kBlockRows * kBlockRows);
    return true;
  }();
  static_cast<void>(done);
}

}  // namespace

std::unique_ptr<Gemm> MakeOneDnnGemm(const GemmShape& shape) {
  GOLF_CHECK(shape.m > 0 && shape.n > 0 && shape.k > 0);
  GOLF_CHECK(shape.ab == Element::kFloat && shape.c == Element::kFloat);
  GOLF_CHECK(!shape.transpose_a);
  RequireMemory();
  return WithMemory([&]() -> std::unique_ptr<Gemm> {
    RunFirstProduct();
    return std::make_unique<BlockwiseGemm>(shape, MakeBlockProduct(shape));
  });
}

// Fails when oneDNN has been used already; its instructions then stay as they are.
void LimitOneDnn(Variant variant) {
  if (variant == Variant::kPortable) (void)dnnl::set_max_cpu_isa(dnnl::cpu_isa::sse41);
  if (variant == Variant::kAvx2) (void)dnnl::set_max_cpu_isa(dnnl::cpu_isa::avx2);
}

}  // namespace golf::cpu
