"""PATCHIB: radiographs and reports matched by patches, of which an information bottleneck keeps few."""
