// Causal attention for bfloat16 rows on the CPU: one head at a time, its scores never leave the cache.
// Shapes: B batch, H heads, T positions, K head width (a multiple of 32).  Matrix products are oneDNN's
// "brgemm" micro-kernels, which want the right-hand matrix with pairs of rows interleaved ("paired").
#include <ATen/Parallel.h>
#include <c10/util/BFloat16.h>
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

using bf16 = c10::BFloat16;

// As in ATen/native/CPUBlas.h, whose other contents would take half a minute to compile.
namespace at::native::cpublas {
void brgemm(int64_t M, int64_t N, int64_t K, int64_t ld_a, int64_t ld_b, int64_t ld_c, bool add_C,
            const bf16* A, const bf16* B, float* C, bool is_vnni);
void brgemm_release(bool is_vnni);
}  // namespace at::native::cpublas

static void matmul(int64_t M, int64_t N, int64_t K, int64_t ld_a, int64_t ld_b, int64_t ld_c, bool add,
                   const bf16* A, const bf16* B, float* C) {
  at::native::cpublas::brgemm(M, N, K, ld_a, ld_b, ld_c, add, A, B, C, true);
}

struct View { bf16* data; int64_t b, h, t; };      // a (B, H, T, K) tensor: its address and strides; K's is 1
struct Shape { int64_t B, H, T, K; };

static inline uint32_t bits(float x) { uint32_t u; std::memcpy(&u, &x, 4); return u; }
static inline float from_bits(uint32_t u) { float x; std::memcpy(&x, &u, 4); return x; }

// Round to nearest even; never called on NaN-producing paths other than NaN inputs, which stay NaN or inf.
static inline uint32_t round_bf16(float x) { uint32_t u = bits(x); return (u + 0x7fff + ((u >> 16) & 1)) >> 16; }

// exp(x) for x <= 0, relative error about 2e-7: 2^n times a polynomial in the rest.  NaN stays NaN.
static inline float exp_neg(float x) {
  x = (x < -87.0f ? -87.0f : x) * 1.44269504f;
  float n = __builtin_rintf(x), r = x - n;
  float p = 1.0f + r * (0.69314718f + r * (0.24022651f + r * (0.05550411f + r * (0.00961813f + r * 0.00133336f))));
  return from_bits(bits(p) + (uint32_t(int32_t(n)) << 23));
}

struct Head {                       // one head of a (B, H, T, K) view whose last stride is 1
  bf16* data; int64_t row;
  Head(const View& x, int64_t b, int64_t h) : data(x.data + b * x.b + h * x.h), row(x.t) {}
  bf16* at(int64_t t) const { return data + t * row; }
};

// out[t/2][k][t%2] = x[t][k]: x as the right-hand matrix of a sum over t.  Rows past T are zero.
static void pair_rows(const Head& x, int64_t T, int64_t Tpad, int64_t K, uint32_t* out) {
  for (int64_t t = 0; t < Tpad; t += 2) {
    auto a = reinterpret_cast<const uint16_t*>(x.at(std::min(t, T - 1)));
    auto b = reinterpret_cast<const uint16_t*>(x.at(std::min(t + 1, T - 1)));
    uint32_t keep_a = t < T ? 0xffff : 0, keep_b = t + 1 < T ? 0xffff : 0;
    uint32_t* o = out + t / 2 * K;
    for (int64_t k = 0; k < K; ++k) o[k] = (a[k] & keep_a) | ((b[k] & keep_b) << 16);
  }
}

// out[k/2][t][k%2] = x[t][k]: x^T as the right-hand matrix of a sum over k.  Columns past T are zero.
static void pair_columns(const Head& x, int64_t T, int64_t Tpad, int64_t K, uint32_t* out) {
  const int64_t step = x.row / 2, full = T / 16 * 16;
  for (int64_t t0 = 0; t0 < Tpad; t0 += 16) {
    const uint32_t* from = reinterpret_cast<const uint32_t*>(x.at(t0));
    for (int64_t k = 0; k < K / 2; ++k) {
      uint32_t* to = out + k * Tpad + t0;
      if (t0 < full) {
        #pragma omp simd
        for (int i = 0; i < 16; ++i) to[i] = from[i * step + k];
      } else {
        for (int i = 0; i < 16; ++i) to[i] = t0 + i < T ? from[i * step + k] : 0;
      }
    }
  }
}

static int64_t pad32(int64_t n) { return (n + 31) / 32 * 32; }
template <class A> static bf16* b16(A& v) { return reinterpret_cast<bf16*>(v.data()); }

// o[t] = sum_s p[t,s] v[s];  p = softmax over s <= t of scale q.k;  lse[t] = log sum_s exp(scale q.k)
extern "C" void attention_forward(Shape n, float scale, View q, View k, View v, View o, float* lse) {
  const int64_t B = n.B, H = n.H, T = n.T, K = n.K, Tp = pad32(T);
  const int64_t rows = T <= 512 ? 64 : 32;
  at::parallel_for(0, B * H, 1, [&](int64_t begin, int64_t end) {
    std::vector<uint32_t> kt(K / 2 * Tp), vp(Tp / 2 * K);
    std::vector<float> s(rows * Tp), acc(rows * K);
    std::vector<uint16_t> p(rows * Tp);
    for (int64_t bh = begin; bh < end; ++bh) {
      Head qh(q, bh / H, bh % H), kh(k, bh / H, bh % H), vh(v, bh / H, bh % H), oh(o, bh / H, bh % H);
      float* lse_row = lse + bh * T;
      pair_columns(kh, T, Tp, K, kt.data());
      pair_rows(vh, T, Tp, K, vp.data());
      for (int64_t t0 = 0; t0 < T; t0 += rows) {
        const int64_t M = std::min(rows, T - t0), N = std::min(Tp, pad32(t0 + M));
        matmul(M, N, K, qh.row, Tp, Tp, false, qh.at(t0), b16(kt), s.data());
        float inv[64];
        for (int64_t i = 0; i < M; ++i) {
          float* si = s.data() + i * Tp; uint16_t* pi = p.data() + i * Tp;
          const int64_t seen = t0 + i + 1;                      // keys this query may see
          float m = -1e30f, sum = 0;
          for (int64_t j = seen; j < N; ++j) si[j] = -1e30f;
          #pragma omp simd reduction(max : m)
          for (int64_t j = 0; j < N; ++j) m = si[j] > m ? si[j] : m;
          m *= scale;
          #pragma omp simd reduction(+ : sum)
          for (int64_t j = 0; j < N; ++j) {
            float e = exp_neg(si[j] * scale - m);
            e = j < seen ? e : 0.0f;                              // the smallest exp is not quite 0
            sum += e; pi[j] = round_bf16(e);
          }
          // Where every score it may see overflowed, the masked ones would win: never look ahead instead.
          inv[i] = m > -1e30f * scale ? 1 / sum : NAN; lse_row[t0 + i] = m + std::log(sum);
        }
        matmul(M, K, N, Tp, K, K, false, b16(p), b16(vp), acc.data());
        for (int64_t i = 0; i < M; ++i) {
          auto oi = reinterpret_cast<uint16_t*>(oh.at(t0 + i));
          for (int64_t c = 0; c < K; ++c) oi[c] = round_bf16(acc[i * K + c] * inv[i]);
        }
      }
    }
    at::native::cpublas::brgemm_release(true);
  });
}

// By blocks of keys, everything transposed (keys down, queries across) so that no large matrix is turned:
// p = exp(scale k.q - lse), dv = p do, dp = v do^T, ds = scale p (dp - sum(do o)), dk = ds q, dq^T += k^T ds
extern "C" void attention_backward(Shape n, float scale, View g, View q, View k, View v, View o, const float* lse,
                                   View dq, View dk, View dv) {
  const int64_t B = n.B, H = n.H, T = n.T, K = n.K, Tp = pad32(T);
  const int64_t rows = T <= 512 ? 64 : 32;
  at::parallel_for(0, B * H, 1, [&](int64_t begin, int64_t end) {
    std::vector<uint32_t> qt(K / 2 * Tp), gt(K / 2 * Tp), qp(Tp / 2 * K), gp(Tp / 2 * K), dsp(rows / 2 * Tp);
    std::vector<float> s(rows * Tp), dp(rows * Tp), delta(Tp), l(Tp), dqt(K * Tp), acc(rows * K);
    std::vector<uint16_t> p(rows * Tp), ds(rows * Tp), kt(K * rows);
    for (int64_t bh = begin; bh < end; ++bh) {
      const int64_t b = bh / H, h = bh % H;
      Head qh(q, b, h), kh(k, b, h), vh(v, b, h), oh(o, b, h), gh(g, b, h), dqh(dq, b, h), dkh(dk, b, h), dvh(dv, b, h);
      pair_columns(qh, T, Tp, K, qt.data()); pair_columns(gh, T, Tp, K, gt.data());
      pair_rows(qh, T, Tp, K, qp.data()); pair_rows(gh, T, Tp, K, gp.data());
      for (int64_t t = 0; t < Tp; ++t) {
        float d = 0;
        if (t < T) {
          auto a = reinterpret_cast<const uint16_t*>(oh.at(t)), c = reinterpret_cast<const uint16_t*>(gh.at(t));
          #pragma omp simd reduction(+ : d)
          for (int64_t i = 0; i < K; ++i) d += from_bits(uint32_t(a[i]) << 16) * from_bits(uint32_t(c[i]) << 16);
        }
        delta[t] = d; l[t] = t < T ? lse[bh * T + t] : 1e30f;
      }
      std::fill(dqt.begin(), dqt.end(), 0.0f);
      for (int64_t s0 = 0; s0 < T; s0 += rows) {
        const int64_t M = std::min(rows, T - s0), M2 = (M + 1) / 2 * 2, N = Tp - s0;   // queries s0 .. Tp
        matmul(M, N, K, kh.row, Tp, N, false, kh.at(s0), b16(qt) + 2 * s0, s.data());
        matmul(M, N, K, vh.row, Tp, N, false, vh.at(s0), b16(gt) + 2 * s0, dp.data());
        for (int64_t i = 0; i < M2; i += 2) {
          uint32_t* pair = dsp.data() + i / 2 * N;
          for (int r = 0; r < 2; ++r) {
            uint16_t *pi = p.data() + (i + r) * N, *di = ds.data() + (i + r) * N;
            if (i + r >= M) { std::fill(di, di + N, 0); std::fill(pi, pi + N, 0); continue; }
            const float *si = s.data() + (i + r) * N, *dpi = dp.data() + (i + r) * N;
            const float *ls = l.data() + s0, *de = delta.data() + s0;
            #pragma omp simd
            for (int64_t j = 0; j < N; ++j) {
              float e = exp_neg(std::min(si[j] * scale - ls[j], 0.0f));
              e = j < i + r || ls[j] > 1e29f ? 0.0f : e;
              pi[j] = round_bf16(e); di[j] = round_bf16(e * (dpi[j] - de[j]) * scale);
            }
          }
          const uint16_t *d0 = ds.data() + i * N, *d1 = d0 + N;
          for (int64_t j = 0; j < N; ++j) pair[j] = d0[j] | uint32_t(d1[j]) << 16;
        }
        for (int64_t i = 0; i < M2; ++i) {
          auto row = reinterpret_cast<const uint16_t*>(kh.at(s0 + std::min(i, M - 1)));
          for (int64_t c = 0; c < K; ++c) kt[c * M2 + i] = i < M ? row[c] : 0;
        }
        matmul(M, K, N, N, K, K, false, b16(p), b16(gp) + s0 * K, acc.data());
        for (int64_t i = 0; i < M; ++i) {
          auto out = reinterpret_cast<uint16_t*>(dvh.at(s0 + i));
          for (int64_t c = 0; c < K; ++c) out[c] = round_bf16(acc[i * K + c]);
        }
        matmul(M, K, N, N, K, K, false, b16(ds), b16(qp) + s0 * K, acc.data());
        for (int64_t i = 0; i < M; ++i) {
          auto out = reinterpret_cast<uint16_t*>(dkh.at(s0 + i));
          for (int64_t c = 0; c < K; ++c) out[c] = round_bf16(acc[i * K + c]);
        }
        matmul(K, N, M2, M2, N, Tp, true, b16(kt), b16(dsp), dqt.data() + s0);
      }
      for (int64_t t0 = 0; t0 < T; t0 += 16)
        for (int64_t t = t0; t < std::min(T, t0 + 16); ++t) {
          auto out = reinterpret_cast<uint16_t*>(dqh.at(t));
          for (int64_t c = 0; c < K; ++c) out[c] = round_bf16(dqt[c * Tp + t]);
        }
    }
    at::native::cpublas::brgemm_release(true);
  });
}
