"""What viewers of others ask for: pictures and manifests by the standards of IIIF."""
