// Matrix products of bf16 in tile registers (Intel's AMX): 16 rows of 64 bytes each.
//
// A matrix in tiles is a row of tiles after the other, each tile 512 numbers in one piece. The left
// factor's tiles hold 16 rows and 32 columns; the right factor's hold 32 rows and 16 columns, two
// rows interleaved, as the instruction reads them.
//
// With TILES_IN_SOFTWARE plain loops stand in for the instructions: tests on other processors. With
// NO_TILES there are none, whatever the processor says.

#pragma once

#include "vectors.h"

#if defined(NO_TILES)
#elif defined(TILES_IN_SOFTWARE) && defined(__AVX512BW__)
#define HAS_TILES
#elif defined(__AMX_BF16__) && defined(__AVX512BF16__) && defined(__linux__)
#define HAS_TILES
#include <sys/syscall.h>
#include <unistd.h>
#endif

#ifdef HAS_TILES
constexpr int64_t kTile = 512;              // numbers of one tile
constexpr int64_t kShort = 16, kLong = 32;  // its sides

#ifdef TILES_IN_SOFTWARE
thread_local float software_tiles[8][kShort][kShort];

inline bool tiles_allowed() { return true; }

class TileShape {
 public:
  TileShape() {}
};

template <int kNumber>
void load_tile(const void* from, int64_t bytes) {
  for (int64_t i = 0; i < kShort; i++)
    std::memcpy(software_tiles[kNumber][i], (const char*)from + i * bytes, 64);
}

template <int kNumber>
void store_tile(void* to, int64_t bytes) {
  for (int64_t i = 0; i < kShort; i++)
    std::memcpy((char*)to + i * bytes, software_tiles[kNumber][i], 64);
}

template <int kSum, int kLeft, int kRight>
void multiply_tiles() {
  const bf16* left = (const bf16*)software_tiles[kLeft];
  const bf16* right = (const bf16*)software_tiles[kRight];
  for (int64_t i = 0; i < kShort; i++)
    for (int64_t j = 0; j < kShort; j++)
      for (int64_t k = 0; k < kLong; k++)
        software_tiles[kSum][i][j] += load_one(left + i * kLong + k) *
                                      load_one(right + k / 2 * kLong + j * 2 + k % 2);
}
#else
// Whether the system lets this process use tiles; to be asked before any thread does.
inline bool tiles_allowed() {
  constexpr long kAsk = 0x1023, kTileData = 18;  // as asm/prctl.h and the processor number them
  return syscall(SYS_arch_prctl, kAsk, kTileData) == 0;
}

// What the processor is told of its tiles.
struct alignas(64) TileConfig {
  uint8_t palette = 1, start = 0, reserved[14] = {};
  uint16_t bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

// While it lives, this thread's tiles have the shape that is used here; then that of before, which
// the matrix library believes to be there still. The compilers' own functions for this tell them of
// 8 bytes of the 64 only, so the others may not have been written yet.
class TileShape {
  TileConfig before;

 public:
  TileShape() {
    asm volatile("sttilecfg %0" : "=m"(before));
    const TileConfig here;
    asm volatile("ldtilecfg %0" : : "m"(here));
  }
  ~TileShape() {
    if (before.palette)
      asm volatile("ldtilecfg %0" : : "m"(before));
    else
      asm volatile("tilerelease");
  }
};

template <int kNumber>
void load_tile(const void* from, int64_t bytes) {
  asm volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(from), "r"(bytes), "i"(kNumber));
}

template <int kNumber>
void store_tile(void* to, int64_t bytes) {
  asm volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(to), "r"(bytes), "i"(kNumber) : "memory");
}

template <int kSum, int kLeft, int kRight>
void multiply_tiles() {
  asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(kSum), "i"(kLeft), "i"(kRight));
}
#endif

// c (32, 32), rows `stride` apart, += a (32, depth) b (depth, 32), or what each row of c begins with
// is `first` (32,). a and b are in tiles, `depth` of them in a row, the second row following.
// meanwhile(k) is called `depth` times: vectors are computed while tiles are.
template <class Meanwhile>
void tile_product(int64_t depth, const bf16* a, int64_t a_next, const bf16* b, int64_t b_next,
                  float* c, int64_t stride, const float* first, Meanwhile meanwhile) {
  const float *top = first ? first : c, *below = first ? first : c + kShort * stride;
  const int64_t apart = first ? 0 : stride * sizeof(float), row = stride * sizeof(float);
  asm volatile("" : : : "memory");  // what tiles are loaded from is written by now
  load_tile<0>(top, apart);
  load_tile<1>(top + kShort, apart);
  load_tile<2>(below, apart);
  load_tile<3>(below + kShort, apart);
  for (int64_t k = 0; k < depth; k++, a += kTile, b += kTile) {
    load_tile<4>(a, 64);
    load_tile<6>(b, 64);
    load_tile<7>(b + b_next, 64);
    load_tile<5>(a + a_next, 64);
    multiply_tiles<0, 4, 6>();
    multiply_tiles<1, 4, 7>();
    multiply_tiles<2, 5, 6>();
    multiply_tiles<3, 5, 7>();
    meanwhile(k);
  }
  store_tile<0>(c, row);
  store_tile<1>(c + kShort, row);
  store_tile<2>(c + kShort * stride, row);
  store_tile<3>(c + kShort * stride + kShort, row);
}

inline void tile_product(int64_t depth, const bf16* a, int64_t a_next, const bf16* b,
                         int64_t b_next, float* c, int64_t stride) {
  tile_product(depth, a, a_next, b, b_next, c, stride, nullptr, [](int64_t) {});
}

// Two vectors in bf16, the first one in the lower half.
inline Vec halves(Vec lower, Vec upper) {
#if defined(__AVX512BF16__)
  return (Vec)_mm512_cvtne2ps_pbh((__m512)upper, (__m512)lower);
#else
  bf16 both[kLong];
  store(both, lower);
  store(both + kShort, upper);
  return load((float*)both);
#endif
}

// The numbers of the lower and the upper half, by turns.
inline Vec by_turns(Vec both) {
  alignas(64) static constexpr int16_t order[32] = {
      0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
      8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  return (Vec)_mm512_permutexvar_epi16(_mm512_load_si512(order), (__m512i)both);
}

// 16 rows of 32 numbers, of which `rows` exist, as a tile of the left factor; or their transpose as
// one of the right factor, since two numbers of a row change places as one.
template <bool kTransposed>
void tile_of_rows(bf16* to, const float* from, int64_t stride, int64_t rows) {
  Vec tile[kShort] = {};
  for (int64_t i = 0; i < std::min(rows, kShort); i++)
    tile[i] = halves(load(from + i * stride), load(from + i * stride + kShort));
  if (kTransposed) transpose(tile);
  for (int64_t i = 0; i < kShort; i++) std::memcpy(to + i * kLong, &tile[i], sizeof tile[i]);
}

// 32 rows of 16 numbers, of which `rows` exist, times a factor, as a tile of the right factor; or
// their transpose as one of the left factor.
template <bool kTransposed>
void tile_of_pairs(bf16* to, const float* from, int64_t stride, int64_t rows, float factor) {
  Vec tile[kShort] = {};
  for (int64_t i = 0; i < std::min(rows, kLong); i += 2) {
    const Vec second = i + 1 < rows ? load(from + (i + 1) * stride) : Vec{};
    tile[i / 2] = by_turns(halves(load(from + i * stride) * factor, second * factor));
  }
  if (kTransposed) transpose(tile);
  for (int64_t i = 0; i < kShort; i++) std::memcpy(to + i * kLong, &tile[i], sizeof tile[i]);
}
#endif
