"""Servers of others, asked by HTTP for what lies on them: which addresses may be asked, and how politely."""
