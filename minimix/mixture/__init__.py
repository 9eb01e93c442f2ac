"""Training data made here: good samples of every kind from passages, and worse versions of them."""
