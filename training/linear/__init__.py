"""The fast path for chains of linear neurons: gradient in closed form."""
