"""What layers are computed with: by ``keras.ops``, and where a backend has a better way of its own, by that."""
