"""The data path: from the first byte of a request on port 8000 to the last byte of its answer.

`front` is the door: a `Connection` (`connection`, `line`) for each client reads heads (`http1`) and bodies (`intake`,
`body`, `scan`, `form`), an `Exchange` (`exchange`) takes each request to its end, and `upstream` and `pool` are the
engine's side. What it needs of the rest of the router is in `ports`.
"""
