"""The inspection as one page that opens anywhere and fetches nothing."""

from attnscope.inspection.viewer.page import page as page
