"""What is sent and received: constellations, pulses, channel, and the two scenarios."""
