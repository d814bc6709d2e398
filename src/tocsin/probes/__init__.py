"""Live probes: what is measured inside a running PyTorch loop. The first home of torch."""
