"""The block and its parts.

Shapes are written as suffixes, one legend for the whole package:

    B batch  T query length  S key length  D width  H query heads  G key/value heads  R = H/G queries a group
    K head width  F feed-forward width  V vocabulary

Configuration ends at construction: no `forward` reads a config or asks what kind a part is.
A part that is absent is the identity.
"""
