"""Is this installation sound: level, threads, libraries, and the bits of a self-test."""

from attnscope.doctor.bits import EXPECTED_DIGEST as EXPECTED_DIGEST
from attnscope.doctor.bits import digest as digest
from attnscope.doctor.examine import examine as examine
from attnscope.doctor.findings import Examination as Examination
from attnscope.doctor.findings import Finding as Finding
