"""Object stores by URL, on S3 and in folders, and the models that are fetched from them."""
