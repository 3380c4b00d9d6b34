"""What a model forgets when it, or what it sees, is compressed: any table of predictions with a compression axis."""
