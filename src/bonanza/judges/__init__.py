"""How near pairs are to a test set, by measures that the policies do not see."""
