"""Pages that show a run or a comparison: one self-contained file, or live while the run goes on.

What documents and models wrote is untrusted. It reaches a page in two ways only: through templates that escape
everything, and as JSON that scripts show as text. Which scripts may run is fixed by their hashes.
"""
