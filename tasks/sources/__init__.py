"""Where data come from: loaders and generators that several tasks share."""
