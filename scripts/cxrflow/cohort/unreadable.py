"""What an image file that can't be used is, for every decoder."""

MAXIMUM_PIXELS = 64_000_000
"""The largest digital radiographs have about 4,300 x 3,500 pixels; far larger files are broken or hostile."""

TOO_LARGE = f"the image has more than {MAXIMUM_PIXELS:,} pixels"


MISSING = "the image file is missing"


class UnreadableImageError(Exception):
    """The file is not an image that can be used; the message is the reason, without ids or paths."""
