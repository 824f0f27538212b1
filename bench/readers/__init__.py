"""What runs within environments of other programs: each prints what that program reads in documents, as JSON."""
