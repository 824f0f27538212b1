"""Where page images come from: the library's layout, folders of scans."""
