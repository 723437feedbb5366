// What a step of decoding spends its time in, as operators of PyTorch's dispatcher.
#include "one_query.h"
#include "one_row.h"

// 0 where the dispatcher has it; once in a process.
extern "C" int register_one_token() {
  static TorchLibraryHandle library;
  return aoti_torch_library_init_impl("oneblock", "CPU", __FILE__, __LINE__, &library) ||
         aoti_torch_library_impl(library, "one_row", one_row) ||
         aoti_torch_library_impl(library, "one_query", one_query);
}
