"""Hand-made features: parameters and geometry stand apart from the framework that computes."""
