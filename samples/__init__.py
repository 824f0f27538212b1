"""The sample volumes, and the script that draws them."""
