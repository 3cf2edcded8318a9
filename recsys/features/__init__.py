"""Floor 1: texts, images and clips to vectors, each encoded once and kept by its content."""
