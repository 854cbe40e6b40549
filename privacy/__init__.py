"""A person's data: exported, erased, forgotten in time. An operator's program, no service."""
