"""`bec scale`: more or fewer machines for a job, on EC2 or as processes here."""
