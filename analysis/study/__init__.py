"""What the run folders of a study hold, and what is published beside it."""
