"""What is minimised: losses of the heads, and how those of several tasks become one."""
