"""Tasks written by an LLM out of articles: the four steps of the paper."""
