"""Where the heads of a whole model look on a text: the inspection, its report, and the page that shows it."""

from attnscope.inspection.error import InspectionError as InspectionError
from attnscope.inspection.inspection import HeadValue as HeadValue
from attnscope.inspection.inspection import Inspection as Inspection
from attnscope.inspection.inspection import Segments as Segments
from attnscope.inspection.run import Request as Request
from attnscope.inspection.run import inspect as inspect
from attnscope.inspection.seen_layer import SeenLayer as SeenLayer
from attnscope.inspection.subject import Tokens as Tokens
