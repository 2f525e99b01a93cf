// What cross entropy over a vocabulary does between its matrix products, block by block.

#include "vectors.h"

namespace {

// One row of a block of logits: to = exp(logit + bias - top), `top` becoming the largest logit of
// the row so far. Returns by how much what came of earlier blocks is too large.
template <class T>
float exp_row(int64_t columns, const T* from, const float* bias, T* to, float& top,
              float& total) {
  const int64_t full = columns / kLanes * kLanes;
  const float before = top;
  Vec most = splat(top);
  for (int64_t i = 0; i < full; i += kLanes) most = larger(most, load(from + i) + load(bias + i));
  top = largest(most);
  for (int64_t i = full; i < columns; i++) top = std::max(top, load_one(from + i) + bias[i]);
  Vec sums = {};
  for (int64_t i = 0; i < full; i += kLanes) {
    Vec e = exp(load(from + i) + load(bias + i) - top);
    store(to + i, e);
    sums += e;
  }
  float own = sum(sums);
  for (int64_t i = full; i < columns; i++) {
    const float e = std::exp(load_one(from + i) + bias[i] - top);
    store_one(to + i, e);
    own += e;
  }
  const float factor = std::exp(before - top);
  total = total * factor + own;
  return factor;
}

// The same for all rows; `label_logits` takes the logits of the labels that are in this block.
template <class T>
void exp_block(int64_t rows, int64_t columns, const T* logits, const float* bias, int64_t begin,
               const int64_t* labels, int64_t labelled, T* exps, int64_t stride, float* maxima,
               float* sums, float* factors, float* label_logits, int64_t threads) {
  in_parallel(rows, threads, [=](int64_t, int64_t first, int64_t last) {
    for (int64_t row = first; row < last; row++) {
      const T* from = logits + row * columns;
      T* to = exps + row * stride;
      factors[row] = exp_row(columns, from, bias, to, maxima[row], sums[row]);
      const int64_t label = row < labelled ? labels[row] - begin : -1;
      if (0 <= label && label < columns) label_logits[row] = load_one(from + label) + bias[label];
    }
  });
}

// total = total * factor + added, row by row.
template <class T>
void add_rows(int64_t rows, int64_t size, float* total, const float* factor, const T* added) {
  for (int64_t row = 0; row < rows; row++) {
    int64_t i = row * size;
    const int64_t end = i + size;
    for (; i + kLanes <= end; i += kLanes)
      store(total + i, load(total + i) * factor[row] + load(added + i));
    for (; i < end; i++) total[i] = total[i] * factor[row] + load_one(added + i);
  }
}

// What the gradients of a block need beside its products. totals += the sum of the rows of exps,
// each times its scale; scaled = those rows of x times theirs; and the scales of the block before.
template <class T>
void scale_block(int64_t rows, int64_t columns, int64_t size, const T* exps, int64_t stride,
                 const T* x, const float* factors, float* scales, T* scaled, float* totals) {
  const int64_t full = columns / kLanes * kLanes;
  for (int64_t first = 0; first < rows; first += 8) {  // so that totals are read and written less
    const int64_t last = std::min(first + 8, rows);
    for (int64_t i = 0; i < full; i += kLanes) {
      Vec total = load(totals + i);
      for (int64_t row = first; row < last; row++)
        total += load(exps + row * stride + i) * scales[row];
      store(totals + i, total);
    }
    for (int64_t i = full; i < columns; i++)
      for (int64_t row = first; row < last; row++)
        totals[i] += load_one(exps + row * stride + i) * scales[row];
  }
  for (int64_t row = 0; row < rows; row++) {
    int64_t i = row * size;
    const int64_t end = i + size;
    for (; i + kLanes <= end; i += kLanes) store(scaled + i, load(x + i) * scales[row]);
    for (; i < end; i++) store_one(scaled + i, load_one(x + i) * scales[row]);
    scales[row] *= factors[row];
  }
}

// total = added, or total += added.
template <class T>
void add_all(int64_t count, float* total, const T* added, bool fresh) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    Vec x = load(added + i);
    store(total + i, fresh ? x : load(total + i) + x);
  }
  for (; i < count; i++) total[i] = (fresh ? 0 : total[i]) + load_one(added + i);
}

}  // namespace

#define VOCABULARY(NAME, T)                                                                        \
  extern "C" void exp_block_##NAME(int64_t rows, int64_t columns, int64_t threads,                 \
                                   const T* logits, const float* bias, int64_t begin,              \
                                   const int64_t* labels, int64_t labelled, T* exps,               \
                                   int64_t stride, float* maxima, float* sums, float* factors,     \
                                   float* label_logits) {                                          \
    exp_block<T>(rows, columns, logits, bias, begin, labels, labelled, exps, stride, maxima,       \
                 sums, factors, label_logits, threads);                                            \
  }                                                                                                \
  extern "C" void add_rows_##NAME(int64_t rows, int64_t size, float* total, const float* factor,   \
                                  const T* added) {                                                \
    add_rows<T>(rows, size, total, factor, added);                                                 \
  }                                                                                                \
  extern "C" void scale_block_##NAME(int64_t rows, int64_t columns, int64_t size,                  \
                                     const T* exps, int64_t stride, const T* x,                    \
                                     const float* factors, float* scales, T* scaled,               \
                                     float* totals) {                                              \
    scale_block<T>(rows, columns, size, exps, stride, x, factors, scales, scaled, totals);         \
  }                                                                                                \
  extern "C" void add_all_##NAME(int64_t count, float* total, const T* added, int64_t fresh) {     \
    add_all<T>(count, total, added, fresh);                                                        \
  }

VOCABULARY(fp32, float)
VOCABULARY(bf16, bf16)
