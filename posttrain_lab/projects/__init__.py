"""The hands-on projects: briefs as from a customer, artefacts that are data, and a score on instances that nobody has seen.

Begin with `edge`: a network on a chip of 12,000 bytes. What all projects share: `instances` (who draws the hidden seeds), `standing` (bands,
intervals, shared places).
"""
