"""zarr's codecs and data types as descriptions for the engine, and the calls of codecs that stay Python objects.

A codec counts as known by its exact class: a subclass, or a class registered over a built-in's name, runs as itself.
"""

from zarrs._codecs.zarr3 import chain_of, evolve, split

__all__ = ["chain_of", "evolve", "split"]
