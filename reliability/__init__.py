"""Long runs that try to break the package, and print their figures."""
