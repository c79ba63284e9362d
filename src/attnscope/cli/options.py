"""Options that more than one verb has."""

import click

json_option = click.option("--json", "as_json", is_flag=True, help="Print the same facts as JSON.")
