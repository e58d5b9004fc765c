"""nano, the default model: a published base, and what we add to it. Knows how it comes to lie ready
on a disk, never what is computed with it.
"""
