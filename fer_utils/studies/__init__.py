"""What one paper's study trains, where that is more than one network: from parameters to predictions."""
