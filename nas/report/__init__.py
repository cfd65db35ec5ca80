"""What a run found, for people: tables, a page and a picture."""

from nas.report.files import write_report
from nas.report.front import front_document, front_rows, front_table, rejected_rows, rejected_table

__all__ = ["front_document", "front_rows", "front_table", "rejected_rows", "rejected_table", "write_report"]
