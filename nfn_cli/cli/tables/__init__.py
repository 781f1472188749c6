"""Tables and reports, as people read them."""
