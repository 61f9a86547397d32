"""Pictures and sound behind port 8000: a real llama-server that looks and listens, and what the router fetches."""
