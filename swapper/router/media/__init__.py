"""Pictures and sound that a request names by URL: fetched from addresses that may be, and handed on as data URLs."""
