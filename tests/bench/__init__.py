"""Benchmarks: what Swapper costs, beside what cannot be done without. Figures are printed, never asserted.

Each program runs in a machine of its own, with the package installed (minutes, once; then seconds):

    tests/run --command python3 -m tests.bench.swap        a swap, beside the same engine started by hand
    tests/run --command python3 -m tests.bench.cold        the first request, when not even the router runs
    tests/run --command python3 -m tests.bench.readahead   a swap to gigabytes that are not in the page cache
    tests/run --vllm --command python3 -m tests.bench.early   a swap to vLLM, with and without an early start
    tests/run --command python3 -m tests.bench.conversations   going on after a swap, kept and not kept
    tests/run --command python3 -m tests.bench.sleeping    what llama-server's own sleep would save, beside a start
    tests/run --command python3 -m tests.bench.mixes       who waits how long, by policy, beside the simulator
    tests/run --command python3 -m tests.bench.memory      what the router and a sidecar hold
    tests/run --command python3 -m tests.bench.crowd       a thousand streams at once, and a hundred large uploads
    tests/run --command python3 -m tests.bench.command     what `swapperctl status` costs before it says a word
    tests/run --command python3 -m tests.bench.generator   what a daemon-reload costs with 10, 100 and 1,000 models
    tests/run --command python3 -m tests.bench.telegram    what the Telegram bot holds, and adds to an answer
    tests/run --command python3 -m tests.bench.proxy       the way of the bytes (runs anywhere, needs aiohttp)
    python3 -m tests.bench.scheduler                       what an event costs the scheduler (runs anywhere)

`--help` says what can be chosen. All print medians with the lowest and the highest figure in brackets. What is compared
was measured in turns in one run, so ratios and differences say something even on a machine that is busy with something
else; absolute figures do not: the load of the machine is printed with them. `--calm` puts the machine that measures
before everything else on the host.
"""
