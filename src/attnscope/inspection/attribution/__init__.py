"""Attribution: on which parts of a prompt an answer depends."""
