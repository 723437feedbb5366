"""The lesson to_llama: from GPT to Llama in four swaps."""
