"""The old service, played: what settles its payments today, as a stack of its own."""
