"""How nano is made: a corpus of installed Python packages, a vocabulary, examples with holes, and the trainer."""
