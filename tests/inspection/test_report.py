"""The report on the terminal: its content, and that it fits."""

import io
import re
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from attnscope.inspection import Inspection, Request, inspect, print_report
from attnscope.inspection.head_grid import RAMP, head_grid, style_of
from attnscope.inspection.measures import BY_KEY, MEASURES, NOT_AN_INFLUENCE
from tests.inspection.made import random_inspection


def printed(found: Inspection, width: int = 80, measure: str = "normalized_entropy") -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False, emoji=False)
    print_report(found, console, measure)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.fixture(scope="module")
def example() -> Inspection:
    return inspect(Request())


def flat(text: str) -> str:
    return " ".join(text.split())


def test_it_has_one_section_per_question_and_ends_with_a_warning(example: Inspection) -> None:
    page = printed(example)
    assert re.findall(r"^(\w.*?) ─", page, re.MULTILINE) == [
        "Heads by normalized entropy",
        "Most peaked and most uniform heads",
        "Kinds of heads",
        "Tokens that receive the most weight",
        "What each segment reads",
    ]
    assert flat(page).endswith(NOT_AN_INFLUENCE)
    assert "mask: causal" in page


def test_kinds_of_heads_are_named_and_missing_ones_too(example: Inspection) -> None:
    page = printed(example)
    assert re.search(r"induction +layer 1, induction 0\.9\d", page)
    assert re.search(r"previous token +layer 0, 1 back 1\.00", page)
    assert re.search(r"duplicate token +no head above 0.2", page)


def test_the_sources_of_the_answer_are_shown_with_the_head_that_reads_them(example: Inspection) -> None:
    assert (
        'The weight that the 24 tokens of "generated" give to each segment: mean of all heads, beside'
        in flat(printed(example))
    )
    assert re.search(r"hopper.txt +266 +\d+\.\d% +█+ +38\.\d% +layer 1, induction 0\.7\d", printed(example))


def test_escapes_in_a_text_s_name_do_not_reach_the_terminal(example: Inspection) -> None:
    assert example.segments is not None
    names = tuple(f"\x1b[2J{name}" for name in example.segments.names)
    wild = replace(
        example, text_name="\x1b[2Jx", model_name="\x1b]0;x", segments=replace(example.segments, names=names)
    )
    page = printed(replace(wild, facts={"text": "\x1b[5m"}))
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", page)
    assert "␛[2Jx" in page


def test_without_segments_there_is_no_table_of_them() -> None:
    assert "segment" not in printed(inspect(Request("the cat sat. the cat sat.")))


@pytest.mark.parametrize("width", [60, 80, 100, 200])
@pytest.mark.parametrize(("layers", "heads"), [(2, 8), (3, 32), (2, 90)])
def test_it_fits_and_has_no_control_characters(width: int, layers: int, heads: int) -> None:
    page = printed(random_inspection(layers, heads, 30), width)
    assert max(map(len, page.splitlines())) <= max(width, 95)  # a grid of 90 heads needs a column a head
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", page)


def test_the_grid_can_show_what_the_last_segment_reads_from_another(example: Inspection) -> None:
    console = Console(file=io.StringIO(), width=80)
    print_report(example, console, reads="hopper.txt")
    assert isinstance(console.file, io.StringIO)
    page = console.file.getvalue()
    assert "Heads by weight on hopper.txt" in page
    assert "the weight that the tokens of generated give to hopper.txt: mean over the tokens" in flat(page)
    assert re.search(r"^ +1 +\.79 +\.38$", page, re.MULTILINE)


@pytest.mark.parametrize("measure", MEASURES, ids=lambda each: each.key)
def test_every_measure_has_its_grid_with_numbers(measure: object, example: Inspection) -> None:
    chosen = next(each for each in MEASURES if each is measure)
    heading, *lines = [line.plain for line in head_grid(example, chosen, 80)]
    assert heading.split() == ["0", "1", "2", "3", "4", "5"]
    assert [len(line.split()) for line in lines] == [7, 3]
    assert f"Heads by {chosen.label}" in printed(example, measure=chosen.key)


def test_narrow_grids_show_the_tenth_of_the_scale() -> None:
    found = random_inspection(1, 30, 20)
    wide, narrow, tight = (
        head_grid(found, BY_KEY["normalized_entropy"], width)[1].plain for width in (200, 80, 40)
    )
    numbers = [float(each) for each in wide.split()[1:]]
    tenths = [int(10 * float(value)) for value in found.layers[0].means["normalized_entropy"]]
    assert len(numbers) == 30
    assert [int(each) for each in narrow.split()[1:]] == tenths
    assert tight == f"   0 {''.join(map(str, tenths))}"


def test_equal_heads_are_at_the_low_end() -> None:
    found = random_inspection(1, 2, 20)
    layer = found.layers[0]
    equal = replace(layer, means=layer.means | {"entropy": layer.means["entropy"] * 0 + 2})
    (_, line) = head_grid(replace(found, layers=(equal,)), BY_KEY["entropy"], 80)
    assert line.plain.split() == ["0", "2.0", "2.0"]
    assert {str(span.style) for span in line.spans} == {str(style_of(0.0))}


def test_many_segments_are_not_crossed_with_themselves() -> None:
    assert "All segments: a row reads" in flat(printed(random_inspection(1, 2, 30, segments=7)))
    assert "All segments: a row reads" not in flat(printed(random_inspection(1, 2, 30, segments=8)))


def test_a_mask_without_known_keys_leaves_the_even_shares_out() -> None:
    found = random_inspection(1, 2, 30)
    unknown = replace(found, layers=(replace(found.layers[0], evenly=None),))
    assert "beside uniform weights" in flat(printed(found))
    assert "beside uniform weights" not in flat(printed(unknown))


def test_learned_sinks_are_shown_only_if_there_are_some(example: Inspection) -> None:
    taken = np.concatenate([layer.sink_mass for layer in example.layers]).mean()
    assert f"Learned sinks take {taken:.0%} of all weight" in flat(printed(example))
    assert re.search(r"normalized +nats +eff. keys +distance +sink", printed(example))
    assert "sink" not in printed(random_inspection(1, 2, 30)).replace("attention sinks", "")


def test_the_ramp_is_ordered_by_lightness_and_its_ink_is_readable() -> None:
    lightness = [0.3 * red + 0.59 * green + 0.11 * blue for red, green, blue in RAMP]
    assert lightness == sorted(lightness)
    assert style_of(0.0).startswith("bright_white on ")
    assert style_of(1.0).startswith("black on ")
    assert style_of(7.0) == style_of(1.0)
