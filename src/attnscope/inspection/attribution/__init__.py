"""Which part of the prompt did the answer depend on?"""
