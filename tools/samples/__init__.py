"""Sample pictures for the demo, and the code that draws them."""
