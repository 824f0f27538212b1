"""AWS: EC2 and Auto Scaling, the metadata of a machine, secrets, metrics."""
