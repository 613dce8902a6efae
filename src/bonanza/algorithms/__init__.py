"""Pure algorithms: arrays in, arrays out. No files, no models, no clock; random generators are passed in."""
