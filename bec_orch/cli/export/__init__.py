"""`bec export`: lines and text out of artefacts into documents."""
