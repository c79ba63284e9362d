"""Other frameworks: each file imports one, and nothing imports these files but who asks for them."""
