"""cxrflow: chest-imaging studies from raw files to figures."""

import gc

# Imports make objects by the hundred thousand and hardly any garbage; looking for it as often as usual takes a tenth of
# their time, which for many jobs is most of what they take.
gc.set_threshold(100_000, 20, 100)
