"""From text to tokens: checks, tokenizing, truncation, and cutting long texts into chunks."""
