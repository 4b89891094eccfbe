"""What is decided, and nothing else: values in, values out."""
