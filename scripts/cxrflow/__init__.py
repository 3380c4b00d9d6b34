"""cxrflow: chest-imaging studies from raw files to figures."""
