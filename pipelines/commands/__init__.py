"""The commands of the command line; importing a module registers its commands."""
