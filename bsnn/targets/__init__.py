"""What programs are generated for: a folder each, with templates and headers."""
