"""The browser page and the API reference: static files, and how they are answered."""
