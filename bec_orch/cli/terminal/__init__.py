"""What goes to the terminal: tables and errors, the progress of a run, stdout and stderr themselves."""
