"""``--serve``: the dashboard in a browser. Every page has a dashboard process of its own."""
