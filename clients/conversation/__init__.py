"""Conversations held by real clients through a hearth server."""
