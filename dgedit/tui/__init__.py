"""The terminal editor: tabs, holes, and every refinement step drawn in place. Knows no tensors."""
