"""Reading a model's files, once and with checks: JSON files become a spec, tensors become named arrays."""
