"""Layer definitions only, one module per group of papers; a module imports its own framework and no other."""
