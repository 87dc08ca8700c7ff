#include "tests/bench/peak.h"

#include <omp.h>

#include <algorithm>
#include <dnnl.hpp>
#include <unordered_map>

#include "kernels/threads.h"
#include "tests/bench/stopwatch.h"

namespace golf::bench {

using dnnl::memory;

struct OneDnnPeak::Product {
  Product(memory::dim m, memory::dim n, memory::dim k, memory::data_type type, bool packed)
      : flops(2.0 * static_cast<double>(m * n * k)),
        engine(dnnl::engine::kind::cpu, 0),
        stream(engine) {
    using Tag = memory::format_tag;
    const dnnl::matmul::primitive_desc description(
        {memory::desc({m, k}, type, Tag::ab),
         memory::desc({k, n}, type, packed ? Tag::any : Tag::ab),
         memory::desc({m, n}, type, Tag::ab)},
        engine);
    product = dnnl::matmul(description);
    arguments = {{DNNL_ARG_SRC, memory(description.src_desc(), engine)},
                 {DNNL_ARG_WEIGHTS, memory(description.weights_desc(), engine)},
                 {DNNL_ARG_DST, memory(description.dst_desc(), engine)}};
    for (auto& [name, operand] : arguments) {  // zeros may be faster than numbers
      auto* bytes = static_cast<unsigned char*>(operand.get_data_handle());
      std::fill_n(bytes, operand.get_desc().get_size(), static_cast<unsigned char>(0x3f));
    }
    Run();
  }

  Seconds Run() {
    constexpr int kTimes = 4;
    const Stopwatch watch;
    for (int i = 0; i < kTimes; ++i) product.execute(stream, arguments);
    stream.wait();
    const Seconds all = watch.elapsed();
    return {all.wall / kTimes, all.cpu / kTimes};
  }

  double flops;
  dnnl::engine engine;
  dnnl::stream stream;
  dnnl::matmul product;
  std::unordered_map<int, memory> arguments;
};

OneDnnPeak::OneDnnPeak(Element element, bool packed) {
  omp_set_num_threads(Threads());  // oneDNN's own
  const auto type = element == Element::kFloat ? memory::data_type::f32 : memory::data_type::bf16;
  // Squares, and the products of the network.
  constexpr memory::dim kShapes[][3] = {{1024, 1024, 1024}, {2048, 2048, 2048}, {2048, 512, 512},
                                        {2048, 1536, 512},  {2048, 512, 1536},  {2048, 1024, 512}};
  for (const auto& [m, n, k] : kShapes)
    products_.push_back(std::make_unique<Product>(m, n, k, type, packed));
}

std::unique_ptr<OneDnnPeak> OneDnnPeak::Make(Element element, bool packed) {
  try {
    return std::unique_ptr<OneDnnPeak>(new OneDnnPeak(element, packed));
  } catch (const dnnl::error& error) {
    if (error.status != dnnl_unimplemented) throw;
    return nullptr;
  }
}

OneDnnPeak::~OneDnnPeak() = default;

Rate OneDnnPeak::Measure() {
  omp_set_num_threads(Threads());
  for (const auto& product : products_) {
    const Seconds time = product->Run();
    best_.per_wall_second = std::max(best_.per_wall_second, product->flops / time.wall);
    best_.per_cpu_second = std::max(best_.per_cpu_second, product->flops / time.cpu);
  }
  return best_;
}

}  // namespace golf::bench
