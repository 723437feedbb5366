// y = W x for a single row x: one pass over the weights in float32, bfloat16 or 8-bit integers; sums in float32.
#pragma once
#include "one_token.h"

namespace {

constexpr int64_t LINE = 64;         // bytes that come from memory at once
constexpr int64_t AHEAD = 8192;      // bytes; the processor's own prefetching stops at the end of each page
constexpr int64_t BLOCK = 16;        // rows that one thread takes together
constexpr int64_t LEAST_BLOCKS = 4;  // for which another thread is worth waking

// One row after the other: several at once are several streams from memory, and slower.
template <class Weight>
float dot(const Weight* w, const float* x, int64_t D) {
  constexpr int STEP = LINE / sizeof(Weight), VECTORS = STEP / LANES;
  Floats sums[VECTORS] = {};
  int64_t d = 0;
  for (; d + STEP <= D; d += STEP) {
    __builtin_prefetch(reinterpret_cast<const char*>(w + d) + AHEAD, 0, 0);  // read once: not to put all else out
    for (int v = 0; v < VECTORS; ++v) sums[v] += wide(w + d + v * LANES) * load<Floats>(x + d + v * LANES);
  }
  for (; d + LANES <= D; d += LANES) sums[0] += wide(w + d) * load<Floats>(x + d);
  float sum = 0;
  for (; d < D; ++d) sum += wide_one(w[d]) * x[d];
  for (int v = 1; v < VECTORS; ++v) sums[0] += sums[v];
  for (int lane = 0; lane < LANES; ++lane) sum += sums[0][lane];
  return sum;
}

// y = W x: E rows of D weights.
struct Product {
  const void* w;
  const float* x;
  float* y;
  int64_t E, D;
};

template <class Weight>
void blocks(int64_t begin, int64_t end, void* context) {
  const Product& p = *static_cast<const Product*>(context);
  const Weight* w = static_cast<const Weight*>(p.w);
  for (int64_t e = begin * BLOCK; e < std::min(end * BLOCK, p.E); ++e) p.y[e] = dot(w + e * p.D, p.x, p.D);
}

ParallelFunc blocks_of(int32_t dtype) {
  if (dtype == aoti_torch_dtype_float32()) return blocks<float>;
  if (dtype == aoti_torch_dtype_bfloat16()) return blocks<BFloat16>;
  if (dtype == aoti_torch_dtype_int8()) return blocks<int8_t>;
  throw std::runtime_error("oneblock::one_row: the weights must be float32, bfloat16 or int8");
}

// (x D in float32, W E × D in one of the three) -> E in float32. The arguments are lent.
AtenTensorHandle one_row(const Lent& x, const Lent& w) {
  Owned y;
  check(x.rank() == 1 && w.rank() == 2 && x.size(0) == w.size(1), "oneblock::one_row: x must be D, and the weights E × D");
  check(x.dtype() == aoti_torch_dtype_float32(), "oneblock::one_row: x must be in float32");
  check(x.contiguous() && w.contiguous(), "oneblock::one_row: x and the weights must be contiguous");
  const ParallelFunc work = blocks_of(w.dtype());
  const int64_t E = w.size(0), one = 1;
  y.make(1, &E, &one);
  Product product{w.data(), static_cast<const float*>(x.data()), static_cast<float*>(y.data()), E, x.size(0)};
  const int64_t count = (E + BLOCK - 1) / BLOCK;
  done(torch_parallel_for(0, count, LEAST_BLOCKS, work, &product));
  return std::exchange(y.handle, nullptr);
}

}  // namespace
