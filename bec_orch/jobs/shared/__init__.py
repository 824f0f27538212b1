"""What several job types have in common beside the pipeline: models, geometry, Tibetan text."""
