"""How tiny is made: a corpus of Python packages, a vocabulary, examples with holes, the trainer."""
