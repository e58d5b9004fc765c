"""Training: corpus, vocabulary, examples with holes, loss, optimiser, loop. Knows no request."""
