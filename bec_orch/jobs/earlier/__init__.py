"""What the library's earlier system left: read in our columns, and adopted by job types that make nothing."""
