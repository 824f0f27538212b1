"""What the job types hand on: lines, text and geometry of pages, read from their rows (`bec_orch.exports`)."""
