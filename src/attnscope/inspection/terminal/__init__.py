"""The inspection on the terminal."""

from attnscope.inspection.terminal.report import print_report as print_report
