"""The official clients of OpenAI's and Anthropic's APIs, against real llama-servers: `tests/run --clients`."""
