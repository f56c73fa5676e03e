"""WEB: REST, the websocket and the page, from a cache of run and job JSON that the bus keeps fresh."""
