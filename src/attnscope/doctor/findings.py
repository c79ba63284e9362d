"""What an examination found: one line per subject."""

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "warning", "problem"]


@dataclass(frozen=True)
class Finding:
    """One subject of an examination.

    Parameters
    ----------
    subject : str
        Such as "level" or "NumPy".
    status : {"ok", "warning", "problem"}
        A warning costs speed or a feature; with a problem, results or the installation are wrong.
    found : str
        What was found, and why it is so.
    advice : str
        What to do; empty if nothing is to be done.
    """

    subject: str
    status: Status
    found: str
    advice: str = ""


@dataclass(frozen=True)
class Examination:
    """All findings, and the digests of the self-test.

    Parameters
    ----------
    findings : tuple of Finding
    digests : dict of str to str
        CPU level to digest; equal on every machine.
    expected_digest : str
    """

    findings: tuple[Finding, ...]
    digests: dict[str, str]
    expected_digest: str

    @property
    def is_sound(self) -> bool:
        """Whether no finding is a problem."""
        return all(finding.status != "problem" for finding in self.findings)
