"""A model as Brian2 objects, and the program that they become, kept alive."""
