"""The site in a browser: what only a browser can say about its pages."""
