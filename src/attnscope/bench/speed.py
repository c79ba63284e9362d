"""Times and shares, in words."""


def share(part: float | None, limit: float | None, limit_name: str) -> str:
    return "" if part is None or limit is None else f"{part:.0%} of the {limit / 1e9:,.0f} {limit_name}"


def duration(seconds: float) -> str:
    """In the unit that keeps it readable.

    >>> duration(0.0123), duration(4.2e-5), duration(2.5)
    ('12.3 ms', '42.0 us', '2.50 s')
    """
    if seconds >= 1:
        return f"{seconds:.2f} s"
    return f"{seconds * 1e3:.1f} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.1f} us"
