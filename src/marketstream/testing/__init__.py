"""Shipped test equipment: replay server, market generator, fakes, fake clock."""
