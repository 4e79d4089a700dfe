"""Networks and their pretrained weights; a module imports its own framework and no other."""
