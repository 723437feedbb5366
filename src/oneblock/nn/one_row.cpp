// y = W x for a single row x: one pass over the weights in float32, bfloat16 or 8-bit integers; sums in float32.
// An operator of PyTorch's dispatcher through its stable C interface, so that compiled code calls it without Python.
// Only what PyTorch 2.11 has.
#define TORCH_TARGET_VERSION 0x020b000000000000ULL
#include <torch/csrc/stable/c/shim.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <utility>

namespace {

constexpr int LANES = 16;
constexpr int64_t LINE = 64;        // bytes that come from memory at once
constexpr int64_t AHEAD = 8192;     // bytes; the processor's own prefetching stops at the end of each page
constexpr int64_t BLOCK = 16;       // rows that one thread takes together
constexpr int64_t LEAST_BLOCKS = 4; // for which another thread is worth waking

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

// What PyTorch could not do becomes an exception, which it passes on to Python.
void done(AOTITorchError code) {
  if (code) throw std::runtime_error("oneblock::one_row: a call of PyTorch's failed");
}

void check(bool holds, const char* rule) {
  if (!holds) throw std::runtime_error(rule);
}

class Owned {
 public:
  explicit Owned(AtenTensorHandle given = nullptr) : handle(given) {}
  Owned(const Owned&) = delete;
  ~Owned() {
    if (handle) aoti_torch_delete_tensor_object(handle);
  }
  AtenTensorHandle handle;

  int64_t size(int64_t of) const { int64_t n; return done(aoti_torch_get_size(handle, of, &n)), n; }
  int64_t rank() const { int64_t n; return done(aoti_torch_get_dim(handle, &n)), n; }
  int32_t dtype() const { int32_t n; return done(aoti_torch_get_dtype(handle, &n)), n; }
  bool contiguous() const { bool is; return done(aoti_torch_is_contiguous(handle, &is)), is; }
  void* data() const { void* at; return done(aoti_torch_get_data_ptr(handle, &at)), at; }
};

ParallelFunc blocks_of(int32_t dtype) {
  if (dtype == aoti_torch_dtype_float32()) return blocks<float>;
  if (dtype == aoti_torch_dtype_bfloat16()) return blocks<BFloat16>;
  if (dtype == aoti_torch_dtype_int8()) return blocks<int8_t>;
  throw std::runtime_error("oneblock::one_row: the weights must be float32, bfloat16 or int8");
}

// (x D in float32, W E × D in one of the three) -> E in float32. The arguments are ours to delete.
void one_row(StableIValue* stack, uint64_t, uint64_t) {
  Owned x(reinterpret_cast<AtenTensorHandle>(stack[0])), w(reinterpret_cast<AtenTensorHandle>(stack[1])), y;
  check(x.rank() == 1 && w.rank() == 2 && x.size(0) == w.size(1), "oneblock::one_row: x must be D, and the weights E × D");
  check(x.dtype() == aoti_torch_dtype_float32(), "oneblock::one_row: x must be in float32");
  check(x.contiguous() && w.contiguous(), "oneblock::one_row: x and the weights must be contiguous");
  const ParallelFunc work = blocks_of(w.dtype());
  const int64_t E = w.size(0), one = 1;
  done(aoti_torch_empty_strided(1, &E, &one, aoti_torch_dtype_float32(), aoti_torch_device_type_cpu(), 0, &y.handle));
  Product product{w.data(), static_cast<const float*>(x.data()), static_cast<float*>(y.data()), E, x.size(0)};
  const int64_t count = (E + BLOCK - 1) / BLOCK;
  done(torch_parallel_for(0, count, LEAST_BLOCKS, work, &product));
  stack[0] = reinterpret_cast<StableIValue>(std::exchange(y.handle, nullptr));
}

}  // namespace

// 0 where the dispatcher has it; once in a process.
extern "C" int register_one_row() {
  static TorchLibraryHandle library;
  return aoti_torch_library_init_impl("oneblock", "CPU", __FILE__, __LINE__, &library) ||
         aoti_torch_library_impl(library, "one_row", one_row);
}
