"""One file a format; ``readers.detection`` finds them by walking this folder."""
