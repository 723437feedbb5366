// What a step of decoding spends its time in: the functions that compiled code calls, and the same as operators of
// PyTorch's dispatcher. `one_token.py` declares both.
#include "one_query.h"
#include "one_row.h"

extern "C" {

// The arguments are lent.
AOTITorchError aoti_torch_cpu_one_row(AtenTensorHandle x, AtenTensorHandle w, AtenTensorHandle* y) {
  *y = one_row(Lent(x), Lent(w));
  return 0;
}

AOTITorchError aoti_torch_cpu_one_query(AtenTensorHandle q, AtenTensorHandle k, AtenTensorHandle v,
                                        AtenTensorHandle seen, double scale, AtenTensorHandle* heads) {
  *heads = one_query(Lent(q), Lent(k), Lent(v), Lent(seen), scale);
  return 0;
}

AOTITorchError aoti_torch_cpu_kept(AtenTensorHandle x, AtenTensorHandle* copy) { return aoti_torch_clone(x, copy); }

}  // extern "C"

namespace {

// The arguments are ours to delete.
void one_row_boxed(StableIValue* stack, uint64_t, uint64_t) {
  Owned x(stack[0]), w(stack[1]);
  stack[0] = reinterpret_cast<StableIValue>(one_row(x, w));
}

void one_query_boxed(StableIValue* stack, uint64_t, uint64_t) {
  Owned q(stack[0]), k(stack[1]), v(stack[2]), seen(stack[3]);
  double scale;
  std::memcpy(&scale, &stack[4], sizeof scale);
  stack[0] = reinterpret_cast<StableIValue>(one_query(q, k, v, seen, scale));
}

void kept_boxed(StableIValue* stack, uint64_t, uint64_t) {
  Owned x(stack[0]);
  AtenTensorHandle copy;
  done(aoti_torch_cpu_kept(x.handle, &copy));
  stack[0] = reinterpret_cast<StableIValue>(copy);
}

}  // namespace

// 0 where the dispatcher has it; once in a process.
extern "C" int register_one_token() {
  static TorchLibraryHandle library;
  return aoti_torch_library_init_impl("oneblock", "CPU", __FILE__, __LINE__, &library) ||
         aoti_torch_library_impl(library, "one_row", one_row_boxed) ||
         aoti_torch_library_impl(library, "one_query", one_query_boxed) ||
         aoti_torch_library_impl(library, "kept", kept_boxed);
}
