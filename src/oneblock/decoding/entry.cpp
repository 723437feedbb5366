// A compiled graph called on lasting tensors: without Python's list of them, and without an object for each.
#define TORCH_TARGET_VERSION 0x020b000000000000ULL
#include <torch/csrc/stable/c/shim.h>

// What PyTorch's compiler makes: the inputs are its to delete, the outputs ours.
using Graph = void (*)(AtenTensorHandle* inputs, AtenTensorHandle* outputs);

extern "C" {

// The first output, or null where anything failed. `fresh` is room for as many as there are inputs.
AtenTensorHandle call_graph(Graph graph, int64_t num_inputs, const AtenTensorHandle* inputs, AtenTensorHandle* fresh,
                            int64_t num_outputs, AtenTensorHandle* outputs) {
  for (int64_t i = 0; i < num_inputs; ++i)
    if (aoti_torch_new_tensor_handle(inputs[i], fresh + i)) return nullptr;
  try {
    graph(fresh, outputs);
  } catch (...) {
    return nullptr;
  }
  for (int64_t i = 1; i < num_outputs; ++i) aoti_torch_delete_tensor_object(outputs[i]);
  return outputs[0];
}

void let_go(int64_t count, const AtenTensorHandle* handles) {
  for (int64_t i = 0; i < count; ++i) aoti_torch_delete_tensor_object(handles[i]);
}

}  // extern "C"
