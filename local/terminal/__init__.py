"""The terminal chat: an app of textual on the Python client. It knows a service by its address."""
