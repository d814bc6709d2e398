"""What is seen of a frame: layers of an image, and scalar features."""
