"""From a prompt to drafts: canvases, the sampler, causal drafts, ranking. Knows no file formats."""
