"""Hand-crafted features: histograms of oriented gradients and optical flow."""
