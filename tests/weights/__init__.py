"""What files of weights say of themselves."""
