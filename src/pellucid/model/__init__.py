"""What a model's files say, read once and checked: JSON to a spec, tensors to named arrays."""
