"""The commands, one file each; every file's `add(app)` mounts its own."""
