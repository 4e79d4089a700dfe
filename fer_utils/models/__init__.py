"""Networks and their pretrained weights, one module for each; a module imports its own framework and no other."""
