"""GGUF files, as llama.cpp and Ollama have them: what they say of a model, in the files that other models have."""
