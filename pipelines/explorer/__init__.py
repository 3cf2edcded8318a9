"""The explorer: what its pages show, and the small web application that shows it."""
