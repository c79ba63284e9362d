"""The lesson and the library's reference as a website: its sources, Sphinx's settings, and what it adds."""
