"""What goes on: events for pages that listen, and figures for Prometheus."""
