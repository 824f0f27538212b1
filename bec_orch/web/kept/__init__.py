"""What is kept between requests, each with a bound: values that were made, and figures of the database."""
