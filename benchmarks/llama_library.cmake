# llama-cpp-python turns this on, though it installs nothing of it. A plain variable comes before its cached one.
set(LLAMA_BUILD_COMMON OFF)
