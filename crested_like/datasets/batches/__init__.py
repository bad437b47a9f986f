"""Examples as a training takes them."""
