"""Findings as text, Markdown, JSON and HTML."""
