"""Pictures of pages: what a request of the IIIF Image API asks for, and how it is made."""
