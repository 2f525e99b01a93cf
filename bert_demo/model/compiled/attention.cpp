// Self-attention within packed sequences, forward and backward, one sequence and head at a time:
// scores and weights live in the processor's cache and are computed again for the gradient.

#include "vectors.h"

namespace {

constexpr int64_t kBlock = 64;  // queries whose scores exist at the same time

struct Shape {
  int64_t sequences, heads, size;  // size: numbers of one head
  const int64_t *keys, *queries;   // (sequences + 1,): where each one's rows begin
  int64_t key_stride, query_stride;
  float scale;
  const float* bias;  // (3, heads * size), of queries, keys and values; or none
};

// The part of the bias for queries (0) or values (2) of one head. That of the keys adds the same to
// all scores of a query, which the softmax takes away again: it is not read, and its slope is 0.
const float* offset(const Shape& s, int64_t part, int64_t head) {
  return s.bias ? s.bias + (part * s.heads + head) * s.size : nullptr;
}

// Rows `stride` apart, with an offset added to each if there is one; to (rows, padded), zeros beyond
// `count`.
template <class T>
void read_rows(float* to, int64_t padded, const T* from, int64_t stride, int64_t rows,
               int64_t count, const float* offset) {
  for (int64_t row = 0; row < rows; row++, to += padded, from += stride) {
    fetch(from + kAhead * stride, count);
    read_row(to, from, count, padded);
    if (offset) add_row(to, offset, count);
  }
}

template <class T>
struct Inputs {
  const T *q, *k, *v;
};

template <class T>
void forward_head(const Shape& s, const Inputs<T>& in, Dropout dropout, T* out, int64_t out_stride,
                  float* log_sums, int64_t sequence, int64_t head, Space& space) {
  const int64_t key = s.keys[sequence], keys = s.keys[sequence + 1] - key;
  const int64_t query = s.queries[sequence], queries = s.queries[sequence + 1] - query;
  const int64_t wide = round_up(keys), size = round_up(s.size), column = head * s.size;
  const uint32_t weight_column = head * kHeadColumns;  // of the weight of the first key
  float* k = space.data((2 * wide + 2 * kBlock) * size + kBlock * wide);
  float* v = k + size * wide;
  float* q = v + size * wide;
  float* mixed = q + kBlock * size;
  float* scores = mixed + kBlock * size;
  read_transposed(k, wide, in.k + key * s.key_stride + column, s.key_stride, keys, s.size, nullptr);
  read_rows(v, size, in.v + key * s.key_stride + column, s.key_stride, keys, s.size,
            offset(s, 2, head));
  for (int64_t first = 0; first < queries; first += kBlock) {
    const int64_t count = std::min(kBlock, queries - first);
    read_rows(q, size, in.q + (query + first) * s.query_stride + column, s.query_stride, count,
              s.size, offset(s, 0, head));
    scale_row(q, s.scale, count * size);
    product(count, wide, s.size, q, size, 1, k, wide, scores, wide, false);
    for (int64_t i = 0; i < count; i++) {
      float* line = scores + i * wide;
      std::fill(line + keys, line + wide, -1e30f);
      Vec most = load(line);
      for (int64_t j = kLanes; j < wide; j += kLanes) most = larger(most, load(line + j));
      const float shift = largest(most);
      Vec total = {};
      for (int64_t j = 0; j < wide; j += kLanes) {
        Vec e = exp(load(line + j) - shift);
        store(line + j, e);
        if (j + kLanes <= keys) total += e;
      }
      float sums = sum(total);
      for (int64_t j = keys / kLanes * kLanes; j < keys; j++) sums += line[j];
      log_sums[(query + first + i) * s.heads + head] = shift + std::log(sums);
      const float inverse = 1 / sums;
      const DroppedRow dropped = dropout.row(query + first + i);
      int64_t j = 0;
      for (; j + kLanes <= keys; j += kLanes)
        store(line + j, load(line + j) * dropped.at(weight_column + j) * inverse);
      for (; j < keys; j++) line[j] *= dropped.at_one(weight_column + j) * inverse;
    }
    product(count, size, keys, scores, wide, 1, v, size, mixed, size, false);
    for (int64_t i = 0; i < count; i++)
      write_row(out + (query + first + i) * out_stride + column, mixed + i * size, s.size);
  }
}

template <class T>
void backward_head(const Shape& s, const Inputs<T>& in, Dropout dropout, const T* grad,
                   int64_t grad_stride, const float* log_sums, T* grad_q, T* grad_k, T* grad_v,
                   float* grad_bias, int64_t sequence, int64_t head, Space& space) {
  const int64_t key = s.keys[sequence], keys = s.keys[sequence + 1] - key;
  const int64_t query = s.queries[sequence], queries = s.queries[sequence + 1] - query;
  const int64_t wide = round_up(keys), size = round_up(s.size), column = head * s.size;
  const uint32_t weight_column = head * kHeadColumns;  // of the weight of the first key
  float* k = space.data((5 * wide + 3 * kBlock) * size + 2 * kBlock * wide);
  float* turned_k = k + size * wide;
  float* turned_v = turned_k + size * wide;
  float* sum_k = turned_v + size * wide;
  float* sum_v = sum_k + size * wide;
  float* q = sum_v + size * wide;
  float* grad_out = q + kBlock * size;
  float* back = grad_out + kBlock * size;
  float* weights = back + kBlock * size;
  float* slopes = weights + kBlock * wide;
  const int64_t start = key * s.key_stride + column;
  read_rows<T>(k, size, in.k + start, s.key_stride, keys, s.size, nullptr);
  read_transposed(turned_k, wide, in.k + start, s.key_stride, keys, s.size, nullptr);
  read_transposed(turned_v, wide, in.v + start, s.key_stride, keys, s.size, offset(s, 2, head));
  if (!queries) std::fill(sum_k, sum_v + size * wide, 0.0f);
  for (int64_t first = 0; first < queries; first += kBlock) {
    const int64_t count = std::min(kBlock, queries - first);
    const int64_t place = query + first;
    read_rows(q, size, in.q + place * s.query_stride + column, s.query_stride, count, s.size,
              offset(s, 0, head));
    scale_row(q, s.scale, count * size);
    read_rows<T>(grad_out, size, grad + place * grad_stride + column, grad_stride, count, s.size,
                 nullptr);
    product(count, wide, s.size, q, size, 1, turned_k, wide, weights, wide, false);
    product(count, wide, s.size, grad_out, size, 1, turned_v, wide, slopes, wide, false);
    for (int64_t i = 0; i < count; i++) {
      float *w = weights + i * wide, *g = slopes + i * wide;
      const float shift = log_sums[(query + first + i) * s.heads + head];
      const DroppedRow dropped = dropout.row(query + first + i);
      const int64_t full = keys / kLanes * kLanes;
      Vec inner = {};
      for (int64_t j = 0; j < wide; j += kLanes) {
        Vec p = exp(load(w + j) - shift);
        store(w + j, p);
        if (j < full) {
          Vec slope = load(g + j) * dropped.at(weight_column + j);
          store(g + j, slope);
          inner += slope * p;
        }
      }
      float total = sum(inner);
      for (int64_t j = full; j < keys; j++) {
        g[j] *= dropped.at_one(weight_column + j);
        total += g[j] * w[j];
      }
      for (int64_t j = 0; j < wide; j += kLanes) {
        Vec p = load(w + j);
        store(g + j, p * (load(g + j) - total));
        if (j < full) store(w + j, p * dropped.at(weight_column + j));
      }
      for (int64_t j = full; j < keys; j++) w[j] *= dropped.at_one(weight_column + j);
    }
    product(count, size, keys, slopes, wide, 1, k, size, back, size, false);
    product(keys, size, count, slopes, 1, wide, q, size, sum_k, size, first > 0);
    product(keys, size, count, weights, 1, wide, grad_out, size, sum_v, size, first > 0);
    for (int64_t i = 0; i < count; i++) {
      scale_row(back + i * size, s.scale, size);
      if (grad_bias) add_row(grad_bias + column, back + i * size, s.size);
      write_row(grad_q + (query + first + i) * s.query_stride + column, back + i * size, s.size);
    }
  }
  for (int64_t j = 0; j < keys; j++) {
    const int64_t place = start + j * s.key_stride, later = place + kAhead * s.key_stride;
    fetch<true>(grad_k + later, s.size);
    fetch<true>(grad_v + later, s.size);
    write_row(grad_k + place, sum_k + j * size, s.size);
    write_row(grad_v + place, sum_v + j * size, s.size);
    if (grad_bias) add_row(grad_bias + 2 * s.heads * s.size + column, sum_v + j * size, s.size);
  }
}

template <class Work>
void each_head(const Shape& s, int64_t threads, Work work) {
  in_parallel(s.sequences, threads, [&](int64_t part, int64_t begin, int64_t end) {
    thread_local Space space;
    for (int64_t sequence = begin; sequence < end; sequence++)
      for (int64_t head = 0; head < s.heads; head++) work(part, sequence, head, space);
  });
}

}  // namespace

// What both directions are given first: the shapes, and what dropout and threads do.
#define COMMON                                                                                     \
  int64_t sequences, int64_t heads, int64_t size, float scale, const int64_t *keys,                \
      const int64_t *queries, int64_t key_stride, int64_t query_stride,      \
      int64_t threads, const float *bias, const int64_t *places, int64_t key, int64_t limit, float factor
#define SHAPE \
  Shape { sequences, heads, size, keys, queries, key_stride, query_stride, scale, bias }

#define ATTENTION(NAME, T)                                                                         \
  extern "C" void attention_##NAME(COMMON, const T* q, const T* k, const T* v, T* out,             \
                                   int64_t out_stride, float* log_sums) {                          \
    Shape s = SHAPE;                                                                               \
    each_head(s, threads, [&](int64_t, int64_t sequence, int64_t head, auto& space) {              \
      forward_head<T>(s, {q, k, v}, {places, key, limit, factor}, out, out_stride, log_sums, sequence,   \
                      head, space);                                                                \
    });                                                                                            \
  }                                                                                                \
  extern "C" void attention_backward_##NAME(                                                       \
      COMMON, const T* q, const T* k, const T* v, const T* grad, int64_t grad_stride,              \
      const float* log_sums, T* grad_q, T* grad_k, T* grad_v, float* grad_bias) {                  \
    Shape s = SHAPE;                                                                               \
    each_head(s, threads, [&](int64_t part, int64_t sequence, int64_t head, auto& space) {         \
      float* own = grad_bias ? grad_bias + part * 3 * heads * size : nullptr;                      \
      backward_head<T>(s, {q, k, v}, {places, key, limit, factor}, grad, grad_stride, log_sums, grad_q,  \
                       grad_k, grad_v, own, sequence, head, space);                                \
    });                                                                                            \
  }

ATTENTION(fp32, float)
ATTENTION(bf16, bf16)
