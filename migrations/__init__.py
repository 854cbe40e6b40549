"""The tables and how they came to be. `python -m migrations` applies them."""
