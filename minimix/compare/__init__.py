"""Does the distilled set train a better model? Students of it beside those of plain subsets."""
