"""Goal misgeneralization: a capable model, and two goals that training does not tell apart."""
