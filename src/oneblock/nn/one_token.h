// What the kernels of one token share: vectors of 16 floats, and PyTorch's tensors through its stable C interface, so
// that compiled code calls them without Python. Only what PyTorch 2.11 has.
#pragma once
#define TORCH_TARGET_VERSION 0x020b000000000000ULL
#include <torch/csrc/stable/c/shim.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <utility>

namespace {

constexpr int LANES = 16;

using Floats = float __attribute__((vector_size(4 * LANES)));
using Ints = int32_t __attribute__((vector_size(4 * LANES)));
using Words = uint32_t __attribute__((vector_size(4 * LANES)));
using Halves = uint16_t __attribute__((vector_size(2 * LANES)));

template <class Vector>
inline Vector load(const void* from) {
  Vector vector;
  std::memcpy(&vector, from, sizeof vector);
  return vector;
}

struct BFloat16 {
  uint16_t bits;
};

inline Floats wide(const BFloat16* w) {
  Words words = __builtin_convertvector(load<Halves>(w), Words) << 16;
  return load<Floats>(&words);
}

// In a loop: of a conversion of vectors some compilers make one number after the other.
inline Floats wide(const int8_t* w) {
  Ints ints;
  for (int lane = 0; lane < LANES; ++lane) ints[lane] = w[lane];
  return __builtin_convertvector(ints, Floats);
}

inline Floats wide(const float* w) { return load<Floats>(w); }

inline float wide_one(float w) { return w; }

inline float wide_one(BFloat16 w) {
  uint32_t word = uint32_t(w.bits) << 16;
  float one;
  std::memcpy(&one, &word, sizeof one);
  return one;
}

inline float wide_one(int8_t w) { return w; }

// 32 numbers as two vectors, in the order that is cheapest for them: bfloat16 as the even and the odd ones.
struct Pair {
  Floats a, b;
};

inline Pair pair(const BFloat16* from) {
  const Words words = load<Words>(from), even = words << 16, odd = words & 0xffff0000u;
  return {load<Floats>(&even), load<Floats>(&odd)};
}

inline Pair pair(const float* from) { return {wide(from), wide(from + LANES)}; }

// 32 floats in the order of `pair`, and back.
template <class Number>
Pair ordered(const float* from) {
  const Floats a = wide(from), b = wide(from + LANES);
  if constexpr (sizeof(Number) == sizeof(float)) return {a, b};
  else return {__builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30),
               __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31)};
}

template <class Number>
void restore(Pair given, float* to) {
  Floats a = given.a, b = given.b;
  if constexpr (sizeof(Number) != sizeof(float)) {
    a = __builtin_shufflevector(given.a, given.b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    b = __builtin_shufflevector(given.a, given.b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
  }
  std::memcpy(to, &a, sizeof a);
  std::memcpy(to + LANES, &b, sizeof b);
}

inline float total(Floats x) {
  const auto eight = __builtin_shufflevector(x, x, 0, 1, 2, 3, 4, 5, 6, 7) + __builtin_shufflevector(x, x, 8, 9, 10, 11, 12, 13, 14, 15);
  const auto four = __builtin_shufflevector(eight, eight, 0, 1, 2, 3) + __builtin_shufflevector(eight, eight, 4, 5, 6, 7);
  return (four[0] + four[2]) + (four[1] + four[3]);
}

// e^x for x <= 0: 2^n times the series of the rest. Off by 2e-7 of it near 0, by 3e-6 at -87, below which it stays.
inline float power(float x) {
  x = x < -87.0f ? -87.0f : x;
  const float n = std::nearbyint(x * 1.44269504f);
  const float r = x - n * 0.69314718f;
  const float rest = 1 + r * (1 + r * (1.f / 2 + r * (1.f / 6 + r * (1.f / 24 + r * (1.f / 120 + r * (1.f / 720))))));
  const int32_t bits = (int32_t(n) + 127) << 23;
  float two;
  std::memcpy(&two, &bits, sizeof two);
  return two * rest;
}

// What PyTorch could not do becomes an exception, which it passes on to Python.
void done(AOTITorchError code) {
  if (code) throw std::runtime_error("oneblock: a call of PyTorch's failed in the kernels of one token");
}

void check(bool holds, const char* rule) {
  if (!holds) throw std::runtime_error(rule);
}

// A tensor that belongs to the caller.
struct Lent {
  explicit Lent(AtenTensorHandle given) : handle(given) {}
  AtenTensorHandle handle;

  int64_t size(int64_t of) const { int64_t n; return done(aoti_torch_get_size(handle, of, &n)), n; }
  int64_t stride(int64_t of) const { int64_t n; return done(aoti_torch_get_stride(handle, of, &n)), n; }
  int64_t rank() const { int64_t n; return done(aoti_torch_get_dim(handle, &n)), n; }
  int32_t dtype() const { int32_t n; return done(aoti_torch_get_dtype(handle, &n)), n; }
  bool contiguous() const { bool is; return done(aoti_torch_is_contiguous(handle, &is)), is; }
  void* data() const { void* at; return done(aoti_torch_get_data_ptr(handle, &at)), at; }
};

// One that is deleted in the end.
struct Owned : Lent {
  explicit Owned(AtenTensorHandle given = nullptr) : Lent(given) {}
  explicit Owned(StableIValue given) : Lent(reinterpret_cast<AtenTensorHandle>(given)) {}
  Owned(const Owned&) = delete;
  ~Owned() {
    if (handle) aoti_torch_delete_tensor_object(handle);
  }
  void make(int64_t rank, const int64_t* sizes, const int64_t* strides) {
    done(aoti_torch_empty_strided(rank, sizes, strides, aoti_torch_dtype_float32(), aoti_torch_device_type_cpu(), 0, &handle));
  }
};

}  // namespace
