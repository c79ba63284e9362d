"""What every head of a model reads on a text, and on which parts of a prompt an answer depends."""

from attnscope.inspection.attribution.report import print_attribution as print_attribution
from attnscope.inspection.attribution.request import AttributionRequest as AttributionRequest
from attnscope.inspection.attribution.result import Attribution as Attribution
from attnscope.inspection.attribution.result import SourceEffect as SourceEffect
from attnscope.inspection.attribution.run import attribute as attribute
from attnscope.inspection.inspection import HeadValue as HeadValue
from attnscope.inspection.inspection import Inspection as Inspection
from attnscope.inspection.layer_summary import LayerSummary as LayerSummary
from attnscope.inspection.report import print_report as print_report
from attnscope.inspection.request import Request as Request
from attnscope.inspection.run import inspect as inspect
from attnscope.inspection.segments import Segments as Segments
from attnscope.inspection.subject import Tokens as Tokens
from attnscope.inspection.text import InspectionError as InspectionError
from attnscope.inspection.viewer.page import page as page
