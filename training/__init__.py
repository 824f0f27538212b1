"""Networks of our own: pages and lines are composed with all that is known of them, networks trained on them."""
