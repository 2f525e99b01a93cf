// What a layer does to each row by itself, in one pass where single operations take many.

#include "vectors.h"

namespace {

template <class T>
struct Sum {  // x + dropout(added + offset)
  const float* x;
  const T* added;
  const float* offset;
  Dropout dropout;
};

template <class T>
void read_sum(float* to, const Sum<T>& s, int64_t row, int64_t size, int64_t padded) {
  const int64_t place = row * size;
  const DroppedRow dropped = s.dropout.row(row);
  int64_t i = 0;
  for (; i + kLanes <= size; i += kLanes)
    store(to + i, load(s.x + place + i) +
                      (load(s.added + place + i) + load(s.offset + i)) * dropped.at(i));
  for (; i < size; i++)
    to[i] = s.x[place + i] + (load_one(s.added + place + i) + s.offset[i]) * dropped.at_one(i);
  for (; i < padded; i++) to[i] = 0;
}

float row_sum(const float* row, int64_t padded) {
  Vec total = {};
  for (int64_t i = 0; i < padded; i += kLanes) total += load(row + i);
  return sum(total);
}

template <class T>
void add_norm(int64_t rows, int64_t size, Sum<T> s, const float* weight, const float* bias,
              float epsilon, int64_t threads, float* out, T* low, float* means, float* inverses) {
  const int64_t padded = round_up(size);
  in_parallel(rows, threads, [=](int64_t, int64_t begin, int64_t end) {
    Space space(3 * padded);
    float *z = space.data(), *w = z + padded, *b = w + padded;
    read_row(w, weight, size, padded);
    read_row(b, bias, size, padded);
    for (int64_t row = begin; row < end; row++) {
      read_sum(z, s, row, size, padded);
      const float mean = row_sum(z, padded) / size;
      Vec squares = {};
      for (int64_t i = 0; i < padded; i += kLanes) {
        Vec d = load(z + i) - mean;
        store(z + i, d);
        squares += d * d;
      }
      const float beyond = (padded - size) * mean * mean;
      const float inverse = 1 / std::sqrt((sum(squares) - beyond) / size + epsilon);
      for (int64_t i = 0; i < padded; i += kLanes)
        store(z + i, load(z + i) * inverse * load(w + i) + load(b + i));
      means[row] = mean;
      inverses[row] = inverse;
      write_row(out + row * size, z, size);
      if (low) write_row(low + row * size, z, size);
    }
  });
}

template <class T>
void add_norm_backward(int64_t rows, int64_t size, Sum<T> s, const float* weight,
                       const float* means, const float* inverses, const float* grad,
                       const T* low_grad, int64_t threads, float* grad_x, T* grad_added,
                       float* grad_weight, float* grad_bias, float* grad_offset) {
  // The last three: (threads, size), to be added up.
  const int64_t padded = round_up(size);
  in_parallel(rows, threads, [=](int64_t part, int64_t begin, int64_t end) {
    Space space(6 * padded);
    float *z = space.data(), *g = z + padded, *w = g + padded, *sum_w = w + padded,
          *sum_b = sum_w + padded, *sum_o = sum_b + padded;
    read_row(w, weight, size, padded);
    for (int64_t row = begin; row < end; row++) {
      const int64_t place = row * size;
      read_sum(z, s, row, size, padded);
      read_row(g, grad + place, size, padded);
      if (low_grad) add_row(g, low_grad + place, size);
      const float mean = means[row], inverse = inverses[row];
      Vec first = {}, second = {};
      for (int64_t i = 0; i < padded; i += kLanes) {
        Vec x = (load(z + i) - mean) * inverse, slope = load(g + i);
        store(sum_w + i, load(sum_w + i) + slope * x);
        store(sum_b + i, load(sum_b + i) + slope);
        slope *= load(w + i);
        first += slope;
        second += slope * x;
        store(z + i, x);
        store(g + i, slope);
      }
      const float shift = sum(first) / size, tilt = sum(second) / size;
      for (int64_t i = 0; i < padded; i += kLanes)
        store(g + i, (load(g + i) - shift - load(z + i) * tilt) * inverse);
      write_row(grad_x + place, g, size);
      const DroppedRow dropped = s.dropout.row(row);
      int64_t i = 0;
      for (; i + kLanes <= size; i += kLanes) {
        Vec slope = load(g + i) * dropped.at(i);
        store(grad_added + place + i, slope);
        store(sum_o + i, load(sum_o + i) + slope);
      }
      for (; i < size; i++) {
        const float slope = g[i] * dropped.at_one(i);
        store_one(grad_added + place + i, slope);
        sum_o[i] += slope;
      }
    }
    write_row(grad_weight + part * size, sum_w, size);
    write_row(grad_bias + part * size, sum_b, size);
    write_row(grad_offset + part * size, sum_o, size);
  });
}

// GELU (Hendrycks and Gimpel 2016) and its slope. The error function is Abramowitz and Stegun's
// 7.1.26, within 2e-7.
struct Gelu {
  Vec value, slope;

  explicit Gelu(Vec x) {
    Vec size = larger(x, -x) * 0.70710678f;
    Vec t = 1.0f / (size * 0.3275911f + 1.0f);
    Vec bell = exp(-size * size);
    Vec p = splat(1.061405429f);
    p = p * t - 1.453152027f;
    p = p * t + 1.421413741f;
    p = p * t - 0.284496736f;
    p = p * t + 0.254829592f;
    Vec tail = p * t * bell * 0.5f;  // probability of more than |x|
    Vec below = x > 0.0f ? 1.0f - tail : tail;
    value = x * below;
    slope = below + x * bell * 0.39894228f;
  }
};

// out = activation(x + bias); without GELU it is ReLU, and `out` may be `x`.
template <class T>
void activate(int64_t rows, int64_t size, bool gelu, const T* x, const float* bias, T* out,
              int64_t threads) {
  const int64_t padded = round_up(size);
  in_parallel(rows, threads, [=](int64_t, int64_t begin, int64_t end) {
    Space space(2 * padded);
    float *z = space.data(), *b = z + padded;
    read_row(b, bias, size, padded);
    for (int64_t row = begin; row < end; row++) {
      read_row(z, x + row * size, size, padded);
      for (int64_t i = 0; i < padded; i += kLanes) {
        Vec v = load(z + i) + load(b + i);
        store(z + i, gelu ? Gelu(v).value : larger(Vec{}, v));
      }
      write_row(out + row * size, z, size);
    }
  });
}

// grad *= the slope; `x` is what was activated, or with ReLU what came out. grad_bias: (threads,
// size), to be added up.
template <class T>
void activate_backward(int64_t rows, int64_t size, bool gelu, const T* x, const float* bias,
                       T* grad, float* grad_bias, int64_t threads) {
  const int64_t padded = round_up(size);
  in_parallel(rows, threads, [=](int64_t part, int64_t begin, int64_t end) {
    Space space(4 * padded);
    float *z = space.data(), *g = z + padded, *b = g + padded, *sums = b + padded;
    read_row(b, bias, size, padded);
    for (int64_t row = begin; row < end; row++) {
      read_row(z, x + row * size, size, padded);
      read_row(g, grad + row * size, size, padded);
      for (int64_t i = 0; i < padded; i += kLanes) {
        Vec v = load(z + i), slope = load(g + i);
        slope = gelu ? slope * Gelu(v + load(b + i)).slope : v > 0.0f ? slope : Vec{};
        store(g + i, slope);
        store(sums + i, load(sums + i) + slope);
      }
      write_row(grad + row * size, g, size);
    }
    write_row(grad_bias + part * size, sums, size);
  });
}

// The sum of three rows that are looked up, in fp32, or in T, or in both.
template <class T>
void embed(int64_t rows, int64_t size, const int64_t* words, const int64_t* types,
           const int64_t* positions, const float* word, const float* type, const float* position,
           int64_t threads, float* out, T* low) {
  in_parallel(rows, threads, [=](int64_t, int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; row++) {
      const float *a = word + words[row] * size, *b = type + types[row] * size,
                  *c = position + positions[row] * size;
      const int64_t place = row * size;
      int64_t i = 0;
      for (; i + kLanes <= size; i += kLanes) {
        Vec x = load(a + i) + load(b + i) + load(c + i);
        if (out) store(out + place + i, x);
        if (low) store(low + place + i, x);
      }
      for (; i < size; i++) {
        const float x = a[i] + b[i] + c[i];
        if (out) out[place + i] = x;
        if (low) store_one(low + place + i, x);
      }
    }
  });
}

// What `embed` adds up is handed back to the three tables, the gradients being in two parts.
template <class T>
void embed_backward(int64_t rows, int64_t size, const int64_t* words, const int64_t* types,
                    const int64_t* positions, const float* grad, const T* low_grad, float* word,
                    float* type, float* position) {
  const int64_t padded = round_up(size);
  Space space(padded);
  for (int64_t row = 0; row < rows; row++) {
    float* total = space.data();
    std::fill(total, total + padded, 0.0f);
    if (grad) add_row(total, grad + row * size, size);
    if (low_grad) add_row(total, low_grad + row * size, size);
    add_row(word + words[row] * size, total, size);
    add_row(type + types[row] * size, total, size);
    add_row(position + positions[row] * size, total, size);
  }
}

}  // namespace

#define ROWS(NAME, T)                                                                              \
  extern "C" void add_norm_##NAME(int64_t rows, int64_t size, int64_t threads, const float* x,     \
                                  const T* added, const float* offset, const int64_t* places, int64_t key, int64_t limit, float factor, const float* weight,                \
                                  const float* bias, float epsilon, float* out, T* low,            \
                                  float* means, float* inverses) {                                 \
    add_norm<T>(rows, size, {x, added, offset, {places, key, limit, factor}}, weight, bias, epsilon,     \
                threads, out, low, means, inverses);                                               \
  }                                                                                                \
  extern "C" void add_norm_backward_##NAME(                                                        \
      int64_t rows, int64_t size, int64_t threads, const float* x, const T* added,                 \
      const float* offset, const int64_t* places, int64_t key, int64_t limit, float factor, const float* weight, \
      const float* means, const float* inverses, const float* grad, const T* low_grad,             \
      float* grad_x, T* grad_added, float* grad_weight, float* grad_bias, float* grad_offset) {    \
    add_norm_backward<T>(rows, size, {x, added, offset, {places, key, limit, factor}}, weight, means,    \
                         inverses, grad, low_grad, threads, grad_x, grad_added, grad_weight,       \
                         grad_bias, grad_offset);                                                  \
  }                                                                                                \
  extern "C" void activate_##NAME(int64_t rows, int64_t size, int64_t threads, int64_t gelu,       \
                                  const T* x, const float* bias, T* out) {                         \
    activate<T>(rows, size, gelu, x, bias, out, threads);                                          \
  }                                                                                                \
  extern "C" void activate_backward_##NAME(int64_t rows, int64_t size, int64_t threads,            \
                                           int64_t gelu, const T* x, const float* bias, T* grad,   \
                                           float* grad_bias) {                                     \
    activate_backward<T>(rows, size, gelu, x, bias, grad, grad_bias, threads);                     \
  }                                                                                                \
  extern "C" void embed_##NAME(int64_t rows, int64_t size, int64_t threads, const int64_t* words,  \
                               const int64_t* types, const int64_t* positions,                     \
                               const float* word, const float* type, const float* position,        \
                               float* out, T* low) {                                               \
    embed<T>(rows, size, words, types, positions, word, type, position, threads, out, low);        \
  }                                                                                                \
  extern "C" void embed_backward_##NAME(                                                           \
      int64_t rows, int64_t size, const int64_t* words, const int64_t* types,                      \
      const int64_t* positions, const float* grad, const T* low_grad, float* word, float* type,    \
      float* position) {                                                                           \
    embed_backward<T>(rows, size, words, types, positions, grad, low_grad, word, type, position);  \
  }

ROWS(fp32, float)
ROWS(bf16, bf16)
