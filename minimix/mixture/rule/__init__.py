"""Tasks out of rated rows and articles by rule, without a model that writes."""
