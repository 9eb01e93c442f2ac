"""Text as tasks are made of it: articles, passages, sentences, and what of them can be asked."""
