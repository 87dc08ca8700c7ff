// What multiplies tiles of bf16 (bf16_tiles.h): the matrix unit of processors with AMX, or the vector units of those with
// AVX512-BF16 only. An algorithm is written once and takes its unit as a template argument; only units name the
// instructions of the matrix unit, so the other instance holds none of them.
//
//   TileUnit::Mode               while it lives, the calling thread may use the unit
//   TileUnit::Product2x2<start>    two by two tiles of C (+)= A B
#pragma once
#include "kernels/cpu/bf16_tiles.h"

#define GOLF_UNITS_BEGIN                                                                       \
  HWY_PUSH_ATTRIBUTES(                                                                         \
      "avx,avx2,fma,f16c,bmi,bmi2,avx512f,avx512vl,avx512dq,avx512bw,avx512bf16,amx-tile,amx-" \
      "bf16")
#define GOLF_UNITS_END HWY_POP_ATTRIBUTES

GOLF_UNITS_BEGIN
namespace golf::cpu::tiles {

// What a product is added to: nothing, one number per column, what C holds.
enum class Start { kZero, kColumns, kSum };

// Where the tiles of an operand are: one contiguous kilobyte each.
struct Operand {
  const bf16* data;
  size_t next, step;  // elements to the next rows of A or columns of B; to the next step
};

struct Sums {
  float* data;
  size_t below, beside;  // elements to the tile below; to the tile beside
};

// Compilers do not know that the tile instructions touch memory.
HWY_INLINE void TileBarrier() { asm volatile("" ::: "memory"); }

struct MatrixUnit {
  // All eight tile registers, of full size.
  class Mode {
   public:
    Mode() {
      alignas(64) static constexpr Configuration kConfiguration{
          1, 0, {}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}};
      _tile_loadconfig(&kConfiguration);
    }
    ~Mode() { _tile_release(); }  // the rest of the program does not pay for saving them
    Mode(const Mode&) = delete;
    Mode& operator=(const Mode&) = delete;

   private:
    struct Configuration {
      uint8_t palette, start_row, reserved[14];
      uint16_t row_bytes[16];
      uint8_t rows[16];
    };
    NoDenormals no_denormals_;
  };

  // C = start + A B over `steps` steps. Every element is summed in the order of the steps.
  // Registers: 0-3 C, 4-5 A, 6-7 B.
  template <Start start>
  static HWY_INLINE void Product2x2(size_t steps, Operand a, Operand b, Sums c,
                                    const float* columns = nullptr) {
    float* lower = c.data + c.below;
    if constexpr (start == Start::kZero) {
      _tile_zero(0);
      _tile_zero(1);
      _tile_zero(2);
      _tile_zero(3);
    } else if constexpr (start == Start::kColumns) {  // stride 0: the same row 16 times
      _tile_loadd(0, columns, 0);
      _tile_loadd(1, columns + kTile, 0);
      _tile_loadd(2, columns, 0);
      _tile_loadd(3, columns + kTile, 0);
    } else {
      _tile_loadd(0, c.data, 64);
      _tile_loadd(1, c.data + c.beside, 64);
      _tile_loadd(2, lower, 64);
      _tile_loadd(3, lower + c.beside, 64);
    }
    for (size_t s = 0; s < steps; ++s) {
      const bf16 *upper_a = a.data + s * a.step, *left_b = b.data + s * b.step;
      _tile_loadd(4, upper_a, 64);
      _tile_loadd(6, left_b, 64);
      _tile_dpbf16ps(0, 4, 6);
      _tile_loadd(7, left_b + b.next, 64);
      _tile_dpbf16ps(1, 4, 7);
      _tile_loadd(5, upper_a + a.next, 64);
      _tile_dpbf16ps(2, 5, 6);
      _tile_dpbf16ps(3, 5, 7);
    }
    _tile_stored(0, c.data, 64);
    _tile_stored(1, c.data + c.beside, 64);
    _tile_stored(2, lower, 64);
    _tile_stored(3, lower + c.beside, 64);
  }
};

struct VectorUnit {
  using Mode = NoDenormals;

  static constexpr size_t kRows =
      8;  // with two vectors of columns: 16 sums are under way at a time

  // sum += the products of kRows rows of A and two tiles of B, of one step.
  static HWY_INLINE void MultiplyStep(const bf16* a, size_t a_row, const bf16* left,
                                      const bf16* right, __m512 (&sum)[kRows][2]) {
#pragma GCC unroll 4
    for (size_t pair = 0; pair < kTile; ++pair) {
      const __m512bh b[2] = {LoadPairs(left + pair * kStep), LoadPairs(right + pair * kStep)};
#pragma GCC unroll 8
      for (size_t r = 0; r < kRows; ++r) {
        const __m512bh both = BroadcastPair(a + r * a_row + 2 * pair);
        sum[r][0] = _mm512_dpbf16_ps(sum[r][0], both, b[0]);
        sum[r][1] = _mm512_dpbf16_ps(sum[r][1], both, b[1]);
      }
    }
  }

  template <Start start>
  static HWY_INLINE void Product2x2(size_t steps, Operand a, Operand b, Sums c,
                                    const float* columns = nullptr) {
    for (size_t row = 0; row < 2 * kTile; row += kRows) {
      const size_t within = row % kTile;
      float* to = c.data + (row < kTile ? 0 : c.below) + within * kTile;
      const bf16* from = a.data + (row < kTile ? 0 : a.next) + within * kStep;
      __m512 sum[kRows][2];
#pragma GCC unroll 8
      for (size_t r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
        for (size_t n = 0; n < 2; ++n) {
          if constexpr (start == Start::kZero) sum[r][n] = _mm512_setzero_ps();
          if constexpr (start == Start::kColumns) sum[r][n] = _mm512_load_ps(columns + n * kTile);
          if constexpr (start == Start::kSum)
            sum[r][n] = _mm512_load_ps(to + r * kTile + n * c.beside);
        }
      }
      for (size_t s = 0; s < steps; ++s) {
        const bf16* left = b.data + s * b.step;
        MultiplyStep(from + s * a.step, kStep, left, left + b.next, sum);
      }
#pragma GCC unroll 8
      for (size_t r = 0; r < kRows; ++r) {
        _mm512_store_ps(to + r * kTile, sum[r][0]);
        _mm512_store_ps(to + r * kTile + c.beside, sum[r][1]);
      }
    }
  }

 private:
  static HWY_INLINE __m512bh AsPairs(__m512i bits) {
    __m512bh pairs;
    std::memcpy(&pairs, &bits, sizeof(pairs));
    return pairs;
  }
  static HWY_INLINE __m512bh LoadPairs(const bf16* p) { return AsPairs(_mm512_load_si512(p)); }
  static HWY_INLINE __m512bh BroadcastPair(const bf16* p) {
    int32_t pair;
    std::memcpy(&pair, p, sizeof(pair));
    return AsPairs(_mm512_set1_epi32(pair));
  }
};

}  // namespace golf::cpu::tiles
GOLF_UNITS_END
