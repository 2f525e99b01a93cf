// Vectors of fp32, bf16 in memory, small matrix products and a loop over threads.
//
// Written with the vector extensions that GCC and Clang share, so one source serves every
// processor: the compiler splits or joins what the registers hold.

#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
constexpr int kLanes = 16, kColumns = 4;
#elif defined(__AVX__)
constexpr int kLanes = 8, kColumns = 2;
#elif defined(__aarch64__)
constexpr int kLanes = 4, kColumns = 4;
#else
constexpr int kLanes = 4, kColumns = 2;
#endif
constexpr int kRows = 6;

using bf16 = uint16_t;  // the upper half of an fp32 number

typedef float Vec __attribute__((vector_size(kLanes * 4)));
typedef int32_t IntVec __attribute__((vector_size(kLanes * 4)));
typedef uint32_t BitVec __attribute__((vector_size(kLanes * 4)));
typedef uint16_t HalfVec __attribute__((vector_size(kLanes * 2)));

inline int64_t round_up(int64_t count) { return (count + kLanes - 1) / kLanes * kLanes; }

inline Vec splat(float x) { return Vec{} + x; }

inline Vec load(const float* from) {
  Vec x;
  std::memcpy(&x, from, sizeof x);
  return x;
}

inline Vec load(const bf16* from) {
  HalfVec half;
  std::memcpy(&half, from, sizeof half);
#if defined(__AVX512F__)  // one instruction, of which GCC makes five
  BitVec wide = (BitVec)_mm512_cvtepu16_epi32((__m256i)half);
#else
  BitVec wide = __builtin_convertvector(half, BitVec);
#endif
  return (Vec)(wide << 16);
}

inline void store(float* to, Vec x) { std::memcpy(to, &x, sizeof x); }

inline void store(bf16* to, Vec x) {  // to the nearest, ties to even
#if defined(__AVX512BF16__)
  __m256bh half = _mm512_cvtneps_pbh((__m512)x);
#else
  BitVec bits = (BitVec)x;
  bits += 0x7fff + ((bits >> 16) & 1);
  HalfVec half = __builtin_convertvector(bits >> 16, HalfVec);
#endif
  std::memcpy(to, &half, sizeof half);
}

inline float load_one(const float* from) { return *from; }
inline float load_one(const bf16* from) {
  uint32_t bits = (uint32_t)*from << 16;
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}
inline void store_one(float* to, float x) { *to = x; }
inline void store_one(bf16* to, float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof x);
  *to = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
}

// Of a number and NaN the second, whichever that is.
inline Vec larger(Vec x, Vec y) {
#if defined(__AVX512F__)
  return (Vec)_mm512_max_ps((__m512)x, (__m512)y);
#else
  return x > y ? x : y;
#endif
}

inline float sum(Vec x) {
  float total = 0;
  for (int i = 0; i < kLanes; i++) total += x[i];
  return total;
}

inline float largest(Vec x) {
  float most = x[0];
  for (int i = 1; i < kLanes; i++) most = std::max(most, x[i]);
  return most;
}

// exp(x) for x up to 88, within three units in the last place; below -87 it is 1e-38, and NaN of
// NaN. The polynomial is the one of its degree with the least relative error.
inline Vec exp(Vec x) {
  x = larger(splat(-87.0f), x);
  const Vec magic = splat(12582912.0f);  // adding it rounds to a whole number, in the last bits
  Vec shifted = x * 1.44269504f + magic;
  Vec n = shifted - magic;
  Vec r = x - n * 0.693359375f;
  r = r + n * 2.12194440e-4f;
  Vec p = splat(8.2902722061e-3f);
  p = p * r + 4.1898161173e-2f;
  p = p * r + 1.6667638719e-1f;
  p = p * r + 4.9999147654e-1f;
  p = p * r + 9.9999970198e-1f;
  p = p * r + 1.0f;
  return (Vec)((IntVec)p + ((IntVec)shifted << 23));  // times 2 to the n, whose bits come last
}

// One step of a transposition: of two rows, the columns whose number has (or lacks) the bit kStep
// change places.
template <int kStep>
void exchange(Vec& a, Vec& b) {
  IntVec first, second;
  for (int i = 0; i < kLanes; i++) {
    first[i] = i & kStep ? kLanes + i - kStep : i;
    second[i] = i & kStep ? kLanes + i : i + kStep;
  }
#if defined(__clang__)
  Vec x, y;
  for (int i = 0; i < kLanes; i++) {
    x[i] = i & kStep ? b[i - kStep] : a[i];
    y[i] = i & kStep ? b[i] : a[i + kStep];
  }
#else
  Vec x = __builtin_shuffle(a, b, first), y = __builtin_shuffle(a, b, second);
#endif
  a = x;
  b = y;
}

template <int kStep = kLanes / 2>
void transpose(Vec (&rows)[kLanes]) {
  for (int i = 0; i < kLanes; i++)
    if (!(i & kStep)) exchange<kStep>(rows[i], rows[i + kStep]);
  if constexpr (kStep > 1) transpose<kStep / 2>(rows);
}

// What dropout keeps of a row: where the random bits of a column are at least `limit`, times
// `factor`; all without dropout. model/dropout.py computes the same bits.
struct DroppedRow {
  bool drops;
  uint32_t low, high, limit;
  float factor;

  static constexpr uint32_t kStride = 0x9e3779b9;

  template <class Bits>
  Bits random(Bits x) const {  // of columns times the stride
    x += low;
    x = (x ^ (x >> 16)) * 0x7feb352du;
    x ^= high;
    return (x ^ (x >> 15)) * 0x846ca68bu;
  }
  Vec at(uint32_t column) const {
    if (!drops) return splat(1.0f);
    BitVec steps;
    for (int i = 0; i < kLanes; i++) steps[i] = i * kStride;
    return random(steps + column * kStride) >= limit ? splat(factor) : Vec{};
  }
  float at_one(uint32_t column) const {
    return !drops || random(column * kStride) >= limit ? factor : 0.0f;
  }
};

// The same of many rows, by their places in the batch (none without dropout) and the key of this
// use of it.
struct Dropout {
  const int64_t* places;
  int64_t key, limit;
  float factor;

  DroppedRow row(int64_t row) const {
    if (!places) return {false, 0, 0, 0, 1.0f};
    uint64_t x = (uint64_t)places[row] * 0x9e3779b97f4a7c15u + (uint64_t)key;  // SplitMix64
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    x ^= x >> 31;
    return {true, (uint32_t)x, (uint32_t)(x >> 32), (uint32_t)limit, factor};
  }
};

constexpr uint32_t kHeadColumns = 1 << 16;  // how far the columns of two heads are apart

// Ask for a part of a row that will be read, or written, soon: a processor foresees only what lies
// closer together. The row may lie beyond the last one, as nothing is read yet. GCC would take such
// a function for one without effect and drop its calls if they were not inlined.
template <bool kWritten = false, class T>
inline __attribute__((always_inline)) void fetch(const T* from, int64_t count) {
  for (int64_t i = 0; i < count; i += 64 / sizeof(T)) __builtin_prefetch(from + i, kWritten, 2);
}

constexpr int64_t kAhead = 32;  // how many rows before its turn a row is asked for

// Room for numbers between two steps. It begins where a line of the cache does: vectors that lie
// across two lines take twice the time, and many times that where they were only just written.
class Space {
  std::vector<float> numbers;

 public:
  explicit Space(int64_t count = 0) : numbers(count + 15) {}
  float* data() { return (float*)(((uintptr_t)numbers.data() + 63) / 64 * 64); }
  float* data(int64_t count) {
    if ((int64_t)numbers.size() < count + 15) numbers.resize(count + 15);
    return data();
  }
};

// A row of `count` numbers as fp32, zeros up to `padded`.
template <class T>
void read_row(float* to, const T* from, int64_t count, int64_t padded) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) store(to + i, load(from + i));
  for (; i < count; i++) to[i] = load_one(from + i);
  for (; i < padded; i++) to[i] = 0;
}

// to += from, row of the same length.
template <class T>
void add_row(float* to, const T* from, int64_t count) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) store(to + i, load(to + i) + load(from + i));
  for (; i < count; i++) to[i] += load_one(from + i);
}

// row *= factor, `padded` being a multiple of kLanes.
inline void scale_row(float* row, float factor, int64_t padded) {
  for (int64_t i = 0; i < padded; i += kLanes) store(row + i, load(row + i) * factor);
}

template <class T>
void write_row(T* to, const float* from, int64_t count) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) store(to + i, load(from + i));
  for (; i < count; i++) store_one(to + i, from[i]);
}

// A matrix (rows, columns) with an offset added to each row, if there is one, transposed: to
// (columns padded to kLanes, padded), zeros beyond.
template <class T>
void read_transposed(float* to, int64_t padded, const T* from, int64_t stride, int64_t rows,
                     int64_t columns, const float* offset) {
  for (int64_t first = 0; first < padded; first += kLanes) {
    const int64_t count = std::min<int64_t>(kLanes, rows - first);
    for (int64_t i = 0; i < count; i++) fetch(from + (first + i + kAhead) * stride, columns);
    for (int64_t column = 0; column < columns; column += kLanes) {
      Vec block[kLanes] = {};
      for (int64_t i = 0; i < count; i++) {
        const T* row = from + (first + i) * stride + column;
        if (column + kLanes <= columns) {
          block[i] = load(row);
        } else {
          float end[kLanes];
          read_row(end, row, columns - column, kLanes);
          block[i] = load(end);
        }
      }
      if (offset) {
        float own[kLanes];
        read_row(own, offset + column, std::min<int64_t>(kLanes, columns - column), kLanes);
        for (int64_t i = 0; i < count; i++) block[i] += load(own);
      }
      transpose(block);
      for (int i = 0; i < kLanes; i++) store(to + (column + i) * padded + first, block[i]);
    }
  }
}

template <int M, int N>
void product_tile(int64_t depth, const float* a, int64_t a_row, int64_t a_depth, const float* b,
                  int64_t b_row, float* c, int64_t c_row, bool add) {
  Vec total[M][N];
  for (int m = 0; m < M; m++)
    for (int n = 0; n < N; n++) total[m][n] = add ? load(c + m * c_row + n * kLanes) : Vec{};
  for (int64_t k = 0; k < depth; k++) {
    Vec row[N];
    for (int n = 0; n < N; n++) row[n] = load(b + k * b_row + n * kLanes);
    for (int m = 0; m < M; m++) {
      Vec x = splat(a[m * a_row + k * a_depth]);
      for (int n = 0; n < N; n++) total[m][n] += x * row[n];
    }
  }
  for (int m = 0; m < M; m++)
    for (int n = 0; n < N; n++) store(c + m * c_row + n * kLanes, total[m][n]);
}

template <int N>
void product_columns(int64_t rows, int64_t depth, const float* a, int64_t a_row, int64_t a_depth,
                     const float* b, int64_t b_row, float* c, int64_t c_row, bool add) {
  for (; rows >= kRows; rows -= kRows, a += kRows * a_row, c += kRows * c_row)
    product_tile<kRows, N>(depth, a, a_row, a_depth, b, b_row, c, c_row, add);
  switch (rows) {
    case 5: return product_tile<5, N>(depth, a, a_row, a_depth, b, b_row, c, c_row, add);
    case 4: return product_tile<4, N>(depth, a, a_row, a_depth, b, b_row, c, c_row, add);
    case 3: return product_tile<3, N>(depth, a, a_row, a_depth, b, b_row, c, c_row, add);
    case 2: return product_tile<2, N>(depth, a, a_row, a_depth, b, b_row, c, c_row, add);
    case 1: return product_tile<1, N>(depth, a, a_row, a_depth, b, b_row, c, c_row, add);
  }
}

// c (rows, columns) = or += a (rows, depth) b (depth, columns), columns being a multiple of
// kLanes. Element (m, k) of `a` is at m * a_row + k * a_depth, so `a` may be read transposed.
inline void product(int64_t rows, int64_t columns, int64_t depth, const float* a, int64_t a_row,
                    int64_t a_depth, const float* b, int64_t b_row, float* c, int64_t c_row,
                    bool add) {
  constexpr int64_t wide = kColumns * kLanes;
  int64_t n = 0;
  for (; n + wide <= columns; n += wide)
    product_columns<kColumns>(rows, depth, a, a_row, a_depth, b + n, b_row, c + n, c_row, add);
  for (; n < columns; n += kLanes)
    product_columns<1>(rows, depth, a, a_row, a_depth, b + n, b_row, c + n, c_row, add);
}

// While it lives, this thread takes numbers below 1e-38 for zero: with them processors that follow
// the standard to the letter are many times slower.
class TinyIsZero {
#if defined(__SSE__)
  unsigned before = __builtin_ia32_stmxcsr();

 public:
  TinyIsZero() { __builtin_ia32_ldmxcsr(before | 0x8040); }
  ~TinyIsZero() { __builtin_ia32_ldmxcsr(before); }
#else
 public:
  TinyIsZero() {}
#endif
};

// work(part, begin, end) for `threads` parts of 0 to count.
template <class Work>
void in_parallel(int64_t count, int64_t threads, Work work) {
  threads = std::max<int64_t>(1, std::min(threads, count));
  auto share = [=](int64_t part) {
    TinyIsZero here;
    work(part, count * part / threads, count * (part + 1) / threads);
  };
  std::vector<std::thread> others;
  for (int64_t part = 1; part < threads; part++) others.emplace_back(share, part);
  share(0);
  for (auto& other : others) other.join();
}
