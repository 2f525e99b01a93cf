// Cross entropy over a vocabulary where the processor multiplies tiles: products cost so little
// there that logits are computed twice, for the loss and for the gradient, and never leave the cache.
//
// Letters: M masked positions, a multiple of 32; H hidden size, one too; V words.

#include "tiles.h"

#ifndef HAS_TILES
extern "C" int64_t tiles_ready() { return 0; }
extern "C" int64_t tiles_hold() { return 1; }
#else

namespace {

constexpr int64_t kWords = 512;  // of a block
constexpr int64_t kBand = 256;   // positions whose probabilities exist at the same time
constexpr int64_t kSquare = kLong * kLong;

struct Problem {
  int64_t positions, hidden, words;
  const float *x, *weight, *bias;  // (M, H), (V, H), (V,)
};

// Some words of the vocabulary, and some beyond it, impossible ones, up to a multiple of 32.
struct Block {
  int64_t begin, count, wide;

  Block(const Problem& p, int64_t number)
      : begin(number * kWords),
        count(std::min(kWords, p.words - begin)),
        wide((count + kLong - 1) / kLong * kLong) {}
};

int64_t blocks_of(const Problem& p) { return (p.words + kWords - 1) / kWords; }

// The positions `begin` to `end` as a left factor (positions, H).
void read_positions(bf16* to, const Problem& p, int64_t begin, int64_t end) {
  for (int64_t row = begin; row < end; row += kShort)
    for (int64_t h = 0; h < p.hidden; h += kLong, to += kTile)
      tile_of_rows<false>(to, p.x + row * p.hidden + h, p.hidden, kShort);
}

// A block's words as a right factor (H, words), and their biases.
void read_words(bf16* to, float* bias, const Problem& p, const Block& block) {
  for (int64_t word = 0; word < block.wide; word += kShort)
    for (int64_t h = 0; h < p.hidden; h += kLong, to += kTile)
      tile_of_rows<true>(to, p.weight + (block.begin + word) * p.hidden + h, p.hidden,
                         block.count - word);
  std::fill(bias, bias + block.wide, -1e30f);
  std::copy_n(p.bias + block.begin, block.count, bias);
}

float largest_of(const float* line, int64_t count) {
  Vec most = load(line);
  for (int64_t i = kLanes; i < count; i += kLanes) most = larger(most, load(line + i));
  return _mm512_reduce_max_ps((__m512)most);
}

// Of each position the largest logit so far, the sum of exp(logit - largest), and the logit of the
// label.
struct Sums {
  float *maxima, *sums, *label_logits;

  void add(int64_t position, const float* line, const Block& block, int64_t label) const {
    float &top = maxima[position], &sum = sums[position];
    const float most = largest_of(line, block.wide);
    if (most > top) {  // what came before is too large by so much
      sum *= std::exp(top - most);
      top = most;
    }
    Vec total = {};
    for (int64_t i = 0; i < block.wide; i += kLanes) total += exp(load(line + i) - top);
    sum += _mm512_reduce_add_ps((__m512)total);
    label -= block.begin;
    if (0 <= label && label < block.count) label_logits[position] = line[label];
  }
};

// All logits of the positions `begin` to `end`, whose sums begin with -1e30 and 0.
void sum_up(const Problem& p, const int64_t* labels, const Sums& sums, int64_t begin, int64_t end) {
  const int64_t depth = p.hidden / kLong, row = depth * kTile;
  Space left((end - begin) * p.hidden / 2), right(kWords * p.hidden / 2),
      lines(2 * kLong * kWords + kWords);
  bf16 *x = (bf16*)left.data(), *words = (bf16*)right.data();
  float *now = lines.data(), *before = now + kLong * kWords, *bias = before + kLong * kWords;
  read_positions(x, p, begin, end);
  for (int64_t number = 0; number < blocks_of(p); number++) {
    const Block block(p, number);
    read_words(words, bias, p, block);
    const int64_t pauses = block.wide / kLong * depth;
    // Lines are added up while the tiles of the next 32 positions are multiplied.
    for (int64_t first = begin; first <= end; first += kLong, std::swap(now, before)) {
      int64_t pause = 0, added = 0;
      const int64_t count = first > begin ? kLong : 0;
      auto add = [&](int64_t) {
        for (pause++; added * pauses < pause * count; added++) {
          const int64_t position = first - kLong + added;
          sums.add(position, before + added * kWords, block, labels[position]);
        }
      };
      if (first < end) {
        for (int64_t n = 0; n < block.wide; n += kLong)
          tile_product(depth, x + (first - begin) / kShort * row, row, words + n / kShort * row,
                       row, now + n, kWords, bias + n, add);
      } else {
        while (added < count) add(0);
      }
    }
  }
}

// Probabilities of 32 positions and 32 words from logits: as two tiles of the left factor
// (positions, words), `next` apart, and as two of the right one; and their sums over the positions.
// Of the positions those from `begin` to `end`, even numbers.
void softmax(const float* logits, const float* log_sums, bf16* left, int64_t left_next, bf16* right,
           int64_t right_next, float* totals, int64_t begin, int64_t end) {
  Vec total[2] = {load(totals), load(totals + kShort)};
  for (int64_t i = begin; i < end; i += 2) {
    Vec p[2][2];
    for (int row = 0; row < 2; row++) {
      for (int half = 0; half < 2; half++) {
        p[row][half] = exp(load(logits + (i + row) * kLong + half * kShort) - log_sums[i + row]);
        total[half] += p[row][half];
      }
      const Vec line = halves(p[row][0], p[row][1]);
      bf16* to = left + (i / kShort) * left_next + (i % kShort + row) * kLong;
      std::memcpy(to, &line, sizeof line);
    }
    for (int half = 0; half < 2; half++) {
      const Vec line = by_turns(halves(p[0][half], p[1][half]));
      std::memcpy(right + half * right_next + i / 2 * kLong, &line, sizeof line);
    }
  }
  store(totals, total[0]);
  store(totals + kShort, total[1]);
}

// (H, wide) turned and written to `count` rows of H numbers.
void write_turned(float* to, const float* from, int64_t hidden, int64_t wide, int64_t count) {
  for (int64_t word = 0; word < count; word += kLanes)
    for (int64_t h = 0; h < hidden; h += kLanes) {
      Vec tile[kLanes];
      for (int64_t i = 0; i < kLanes; i++) tile[i] = load(from + (h + i) * wide + word);
      transpose(tile);
      for (int64_t i = 0; i < std::min<int64_t>(kLanes, count - word); i++)
        store(to + (word + i) * hidden + h, tile[i]);
    }
}

// What is wanted at each position: its label, or -1, and the probability of that, less 1.
struct Labels {
  const int64_t* labels;
  const float* misses;
};

// The gradients of the blocks `begin` to `end`: in all grad_x (M, H), which begins with zeros and
// takes no factor, and times a factor grad_weight (V, H) and grad_bias (V,). The gradient of a logit
// is its probability, less 1 at the label.
void slopes(const Problem& p, const float* log_sums, const Labels& of, float factor,
            float* grad_x, float* grad_weight, float* grad_bias, int64_t begin, int64_t end) {
  const int64_t depth = p.hidden / kLong, row = depth * kTile;  // of tiles that hold H columns
  const int64_t turned_row = p.positions / kLong * kTile, band_row = kBand / kLong * kTile;
  Space places((p.positions * p.hidden)), texts(kWords * p.hidden), probabilities(kBand * kWords),
      sums(p.hidden * kWords), small(2 * kSquare + 2 * kWords);
  bf16 *x = (bf16*)places.data(), *turned_x = x + p.positions * p.hidden;
  bf16 *turned_words = (bf16*)texts.data(), *words = turned_words + kWords * p.hidden;
  bf16 *left = (bf16*)probabilities.data(), *right = left + kBand * kWords;
  float *sum = sums.data(), *logits = small.data(), *bias = logits + 2 * kSquare,
        *totals = bias + kWords;
  read_positions(x, p, 0, p.positions);
  for (int64_t h = 0; h < p.hidden; h += kShort)  // a left factor (H, positions)
    for (int64_t i = 0; i < p.positions; i += kLong)
      tile_of_pairs<true>(turned_x + h / kShort * turned_row + i / kLong * kTile,
                          p.x + i * p.hidden + h, p.hidden, kLong, factor);
  for (int64_t number = begin; number < end; number++) {
    const Block block(p, number);
    const int64_t word_row = block.wide / kLong * kTile;  // of tiles that hold the block's words
    read_words(turned_words, bias, p, block);
    for (int64_t h = 0; h < p.hidden; h += kShort)  // a right factor (words, H)
      for (int64_t n = 0; n < block.wide; n += kLong)
        tile_of_pairs<false>(words + h / kShort * word_row + n / kLong * kTile,
                             p.weight + (block.begin + n) * p.hidden + h, p.hidden,
                             block.count - n, 1);
    std::fill(sum, sum + p.hidden * kWords, 0.0f);
    std::fill(totals, totals + kWords, 0.0f);
    for (int64_t first = 0; first < p.positions; first += kBand) {
      const int64_t band = std::min(kBand, p.positions - first);
      for (int64_t i = 0; i < band; i += kLong) {
        // Probabilities are computed while the tiles of the next 32 words are multiplied.
        for (int64_t n = 0; n <= block.wide; n += kLong) {
          const int64_t made = n - kLong;
          float *next = logits + n / kLong % 2 * kSquare;
          float* last = logits + (n / kLong + 1) % 2 * kSquare;
          auto part = [&](int64_t k) {
            if (made < 0) return;
            softmax(last, log_sums + first + i, left + i / kShort * word_row + made / kLong * kTile,
                  word_row, right + made / kShort * band_row + i / kLong * kTile, band_row,
                  totals + made, kShort * k / depth * 2, kShort * (k + 1) / depth * 2);
          };
          if (n < block.wide) {
            tile_product(depth, x + (first + i) / kShort * row, row,
                         turned_words + n / kShort * row, row, next, kLong, bias + n, part);
          } else {
            for (int64_t k = 0; k < depth; k++) part(k);
          }
        }
        for (int64_t place = i; place < i + kLong; place++) {
          const int64_t label = of.labels[first + place] - block.begin;
          if (label < 0 || label >= block.count) continue;
          const float miss = of.misses[first + place];
          store_one(left + place / kShort * word_row + label / kLong * kTile +
                        place % kShort * kLong + label % kLong,
                    miss);
          store_one(right + label / kShort * band_row + place / kLong * kTile +
                        place % kLong / 2 * kLong + label % kShort * 2 + place % 2,
                    miss);
          totals[label] -= 1;
        }
        for (int64_t h = 0; h < p.hidden; h += kLong)
          tile_product(block.wide / kLong, left + i / kShort * word_row, word_row,
                       words + h / kShort * word_row, word_row,
                       grad_x + (first + i) * p.hidden + h, p.hidden);
      }
      for (int64_t h = 0; h < p.hidden; h += kLong)
        for (int64_t n = 0; n < block.wide; n += kLong)
          tile_product(band / kLong, turned_x + h / kShort * turned_row + first / kLong * kTile,
                       turned_row, right + n / kShort * band_row, band_row, sum + h * kWords + n,
                       kWords);
    }
    write_turned(grad_weight + block.begin * p.hidden, sum, p.hidden, kWords, block.count);
    for (int64_t i = 0; i < block.count; i++) grad_bias[block.begin + i] = totals[i] * factor;
  }
}

}  // namespace

extern "C" int64_t tiles_ready() { return tiles_allowed(); }

extern "C" void tiled_cross_entropy_bf16(int64_t positions, int64_t hidden, int64_t words,
                                         int64_t threads, const float* x, const float* weight,
                                         const float* bias, const int64_t* labels, float* maxima,
                                         float* sums, float* label_logits) {
  const Problem p{positions, hidden, words, x, weight, bias};
  in_parallel(positions / kLong, threads, [=](int64_t, int64_t begin, int64_t end) {
    TileShape here;
    sum_up(p, labels, {maxima, sums, label_logits}, begin * kLong, end * kLong);
  });
}

// grad_x: (threads, M, H), to be added up.
extern "C" void tiled_cross_entropy_backward_bf16(int64_t positions, int64_t hidden, int64_t words,
                                                  int64_t threads, const float* x,
                                                  const float* weight, const float* bias,
                                                  const float* log_sums,
                                                  const int64_t* labels, const float* misses,
                                                  float factor, float* grad_x, float* grad_weight,
                                                  float* grad_bias) {
  const Problem p{positions, hidden, words, x, weight, bias};
  in_parallel(blocks_of(p), threads, [=](int64_t part, int64_t begin, int64_t end) {
    TileShape here;
    slopes(p, log_sums, {labels, misses}, factor, grad_x + part * positions * hidden, grad_weight,
           grad_bias, begin, end);
  });
}

// Whether a case worked out by hand comes out right; or there are no tiles. A processor may say that
// it has them and still stop the program, so this is to be asked in a process that nobody needs.
extern "C" int64_t tiles_hold() {
  if (!tiles_allowed()) return 1;
  constexpr int64_t positions = 64, hidden = 96, words = 600, threads = 2, label = 3;
  std::vector<float> x(positions * hidden, 0.5f), weight(words * hidden, 0.25f), bias(words, 1.0f),
      maxima(positions, -1e30f), sums(positions), label_logits(positions), misses(positions),
      grad_x(threads * positions * hidden), grad_weight(words * hidden), grad_bias(words);
  std::vector<int64_t> labels(positions, label);
  tiled_cross_entropy_bf16(positions, hidden, words, threads, x.data(), weight.data(), bias.data(),
                           labels.data(), maxima.data(), sums.data(), label_logits.data());
  auto wrong = [](float found, float expected) {
    return !(std::abs(found - expected) <= 0.01f * std::abs(expected));
  };
  const float logit = 0.5f * 0.25f * hidden + 1, each = 1.0f / words;
  for (int64_t i = 0; i < positions; i++) {
    if (wrong(maxima[i], logit) || wrong(sums[i], words) || wrong(label_logits[i], logit)) return 0;
    sums[i] = logit + std::log((float)words);
    misses[i] = each - 1;
  }
  tiled_cross_entropy_backward_bf16(positions, hidden, words, threads, x.data(), weight.data(),
                                    bias.data(), sums.data(), labels.data(), misses.data(), 2,
                                    grad_x.data(), grad_weight.data(), grad_bias.data());
  for (int64_t word = 0; word < words; word++) {
    const float expected = 2 * positions * (word == label ? each - 1 : each);
    if (wrong(grad_bias[word], expected)) return 0;
    if (wrong(grad_weight[word * hidden], expected * 0.5f)) return 0;
  }
  return 1;
}
#endif
