"""What every store must do, one module for each side of it."""
