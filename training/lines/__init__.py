"""The line network: pages are composed, the network trained, exported, judged."""
