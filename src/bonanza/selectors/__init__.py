"""Which samples of instruction data are worth training on: RECOST and its rivals, one file each."""
