"""What a traceback or a fatal message says: kind, last line, innermost own frame."""
