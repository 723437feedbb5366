// Attention of a single query: one pass over the keys and one over the values that it sees; sums in float32.
#pragma once
#include <limits>
#include <vector>

#include "one_token.h"

namespace {

constexpr int64_t LEAST_KEYS = 512;  // of one group, for which another thread is worth waking
constexpr int64_t SOON = 24;         // keys ahead that are fetched
constexpr int TOGETHER = 4;          // heads of a group that share each key while it is in a register

// softmax(q k^T) v over the keys that are seen, H heads that read G groups. A unit of work is one group and one part of
// the keys; of each head in it: the largest score, the sum of the powers, and the sum of the values times them.
struct Query {
  const float* q;  // H x K, scaled, in the order of `pair`
  const void *k, *v;
  const std::vector<int64_t>& keys;
  float *most, *sum, *y;  // parts x H, parts x H, parts x H x K
  int64_t H, G, K, parts, k_group, k_key, v_group, v_key;
};

template <class Number>
inline void fetch(const Number* row, int64_t K) {
  const char* from = reinterpret_cast<const char*>(row);
  for (int64_t at = 0; at < K * int64_t(sizeof(Number)); at += 64) __builtin_prefetch(from + at, 0, 2);
}

template <class Number, int HEADS>
void heads(const Query& a, const Number* k, const Number* v, const Number* next, int64_t h, int64_t part,
           std::vector<float>& p) {
  const int64_t n = a.keys.size(), first = n * part / a.parts, count = n * (part + 1) / a.parts - first;
  const int64_t* keys = a.keys.data() + first;
  const float* q = a.q + h * a.K;
  p.resize(HEADS * count);
  float most[HEADS];
  std::fill(most, most + HEADS, -std::numeric_limits<float>::infinity());
  for (int64_t s = 0; s < count; ++s) {
    const Number* row = k + keys[s] * a.k_key;
    if (h % (a.H / a.G) == 0) {  // the first to come by: the weights have put all this out of the caches
      const int64_t soon = s + SOON;
      fetch(soon < count ? k + keys[soon] * a.k_key : next + keys[std::min(soon - count, count - 1)] * a.k_key, a.K);
      fetch(v + keys[s] * a.v_key, a.K);
    }
    Floats sums[HEADS] = {};
    for (int64_t d = 0; d < a.K; d += 2 * LANES) {
      const Pair w = pair(row + d);
      for (int i = 0; i < HEADS; ++i) sums[i] += w.a * wide(q + i * a.K + d) + w.b * wide(q + i * a.K + d + LANES);
    }
    for (int i = 0; i < HEADS; ++i) {
      const float score = total(sums[i]);
      p[i * count + s] = score;
      most[i] = score > most[i] ? score : most[i];
    }
  }
  for (int i = 0; i < HEADS; ++i) {
    float sum = 0, *own = p.data() + i * count;
    for (int64_t s = 0; s < count; ++s) own[s] = power(own[s] - most[i]);
    for (int64_t s = 0; s < count; ++s) sum += own[s];
    a.most[part * a.H + h + i] = most[i];
    a.sum[part * a.H + h + i] = sum;
  }
  for (int64_t d = 0; d < a.K; d += 2 * LANES) {
    Pair sums[HEADS] = {};
    for (int64_t s = 0; s < count; ++s) {
      const Pair w = pair(v + keys[s] * a.v_key + d);
      for (int i = 0; i < HEADS; ++i) sums[i].a += p[i * count + s] * w.a, sums[i].b += p[i * count + s] * w.b;
    }
    for (int i = 0; i < HEADS; ++i) restore<Number>(sums[i], a.y + (part * a.H + h + i) * a.K + d);
  }
}

template <class Number>
void units(int64_t begin, int64_t end, void* context) {
  const Query& a = *static_cast<const Query*>(context);
  const int64_t shared = a.H / a.G;
  std::vector<float> p;
  const int64_t some = std::min<int64_t>(SOON, a.keys.size());
  const Number* begun = static_cast<const Number*>(a.k) + begin / a.parts * a.k_group;
  for (int64_t s = 0; s < some && a.parts == 1; ++s) fetch(begun + a.keys[s] * a.k_key, a.K);
  for (int64_t unit = begin; unit < end; ++unit) {
    const int64_t group = unit / a.parts, part = unit % a.parts;
    const Number* k = static_cast<const Number*>(a.k) + group * a.k_group;
    const Number* v = static_cast<const Number*>(a.v) + group * a.v_group;
    // The keys of the group after this one, whose first ones are fetched with the last of these.
    const Number* next = unit + 1 < end ? static_cast<const Number*>(a.k) + (unit + 1) / a.parts * a.k_group : k;
    for (int64_t i = 0; i < shared;) {
      const int64_t h = group * shared + i, many = std::min<int64_t>(TOGETHER, shared - i);
      if (many == 4) heads<Number, 4>(a, k, v, next, h, part, p);
      else if (many == 3) heads<Number, 3>(a, k, v, next, h, part, p);
      else if (many == 2) heads<Number, 2>(a, k, v, next, h, part, p);
      else heads<Number, 1>(a, k, v, next, h, part, p);
      i += many;
    }
  }
}

// The parts of each head as one: what was measured from its own largest score is measured from the largest of all.
void merge(const Query& a, float* y) {
  for (int64_t h = 0; h < a.H; ++h) {
    float most = a.most[h], sum = 0;
    for (int64_t part = 1; part < a.parts; ++part) most = std::max(most, a.most[part * a.H + h]);
    for (int64_t part = 0; part < a.parts; ++part) {
      const float factor = a.parts == 1 ? 1.0f : power(a.most[part * a.H + h] - most);
      const float* own = a.y + (part * a.H + h) * a.K;
      sum += factor * a.sum[part * a.H + h];
      for (int64_t d = 0; d < a.K; ++d) y[h * a.K + d] = (part ? y[h * a.K + d] : 0.0f) + factor * own[d];
    }
    for (int64_t d = 0; d < a.K; ++d) y[h * a.K + d] /= sum;
  }
}

// (q 1 × H × 1 × K in float32, k and v 1 × G × S × K in float32 or bfloat16, seen, S booleans, scale) -> 1 × H × 1 × K
// in float32; K is a multiple of 32. The arguments are lent.
AtenTensorHandle one_query(const Lent& q, const Lent& k, const Lent& v, const Lent& seen, double scale) {
  Owned out;
  check(q.rank() == 4 && k.rank() == 4 && v.rank() == 4, "oneblock::one_query: q, k and v must have four dimensions");
  const int64_t H = q.size(1), G = k.size(1), S = k.size(2), K = q.size(3);
  check(q.size(0) == 1 && q.size(2) == 1 && k.size(0) == 1, "oneblock::one_query: one row and one query are allowed");
  for (int at = 0; at < 4; ++at) check(k.size(at) == v.size(at), "oneblock::one_query: k and v must have one shape");
  check(k.size(3) == K && K > 0 && K % (2 * LANES) == 0, "oneblock::one_query: K must be a multiple of 32 in q, k, v");
  check(G > 0 && H % G == 0, "oneblock::one_query: the heads must be a multiple of the groups");
  check(seen.rank() == 1 && seen.size(0) == S && seen.contiguous(), "oneblock::one_query: seen must be S booleans");
  check(seen.dtype() == aoti_torch_dtype_bool(), "oneblock::one_query: seen must be S booleans");
  check(q.dtype() == aoti_torch_dtype_float32(), "oneblock::one_query: q must be in float32");
  check(q.stride(3) == 1 && k.stride(3) == 1 && v.stride(3) == 1, "oneblock::one_query: features must be contiguous");
  const bool half = k.dtype() == aoti_torch_dtype_bfloat16();
  check(k.dtype() == v.dtype() && (half || k.dtype() == aoti_torch_dtype_float32()),
        "oneblock::one_query: k and v must be float32 or bfloat16");

  std::vector<int64_t> keys;
  keys.reserve(S);
  const bool* sees = static_cast<const bool*>(seen.data());
  for (int64_t s = 0; s < S; ++s) if (sees[s]) keys.push_back(s);
  uint32_t threads = 1;
  done(torch_get_num_threads(&threads));
  const int64_t parts = std::clamp<int64_t>(keys.size() / LEAST_KEYS, 1, std::max<int64_t>(1, threads));

  std::vector<float> room(H * K + parts * H * (K + 2));
  float *scaled = room.data(), *y = scaled + H * K, *most = y + parts * H * K, *sum = most + parts * H;
  for (int64_t h = 0; h < H; ++h) {
    const float* from = static_cast<const float*>(q.data()) + h * q.stride(1);
    for (int64_t d = 0; d < K; d += 2 * LANES) {
      Pair w = half ? ordered<BFloat16>(from + d) : ordered<float>(from + d);
      w = {w.a * float(scale), w.b * float(scale)};
      restore<float>(w, scaled + h * K + d);
    }
  }
  Query query{scaled, k.data(), v.data(), keys, most, sum, y, H, G, K, parts, k.stride(1), k.stride(2), v.stride(1), v.stride(2)};
  // One thread alone where there are few keys: to wake another takes longer.
  done(torch_parallel_for(0, G * parts, parts > 1 ? 1 : G, half ? units<BFloat16> : units<float>, &query));
  const int64_t sizes[4] = {1, H, 1, K}, strides[4] = {H * K, K, K, 1};
  out.make(4, sizes, strides);
  merge(query, static_cast<float*>(out.data()));
  return std::exchange(out.handle, nullptr);
}

}  // namespace
