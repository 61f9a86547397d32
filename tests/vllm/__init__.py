"""vLLM behind port 8000: a stand-in in every run, the real one on CPU in a lane of its own (``tests/run --vllm``)."""
