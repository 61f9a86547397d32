"""What the router answers by itself: information, operations and the page. On aiohttp, imported when it is needed."""
