"""Options that more than one verb has."""

import click

FORMATS = ("float32", "bfloat16", "float16", "float64")

json_option = click.option("--json", "as_json", is_flag=True, help="Print the same facts as JSON.")
