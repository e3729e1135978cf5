"""Tables and figures of a study, as text and as pages."""
