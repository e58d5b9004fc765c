"""Small models of puzzles and sequences: trained from nothing, measured, shipped."""
