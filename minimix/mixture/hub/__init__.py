"""Tasks sampled from MIXTURE, on the hub or in a copy of its layout."""
