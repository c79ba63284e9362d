"""The tour: what attention does on a real text. Every number is computed when it runs."""

from attnscope.tour.facts import TourFacts as TourFacts
from attnscope.tour.facts import tour as tour
from attnscope.tour.page import print_page as print_page
from attnscope.tour.text import Text as Text
from attnscope.tour.text import TextError as TextError
from attnscope.tour.text import most_bytes as most_bytes
from attnscope.tour.text import read_text as read_text
