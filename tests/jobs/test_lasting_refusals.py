"""Which reasons the same bytes will have again is decided where the reasons are."""

from ragjp.documents.reasons import LASTING, LOSSES, SENTENCES

#: What may be otherwise the next time: the disk, the moment, what is installed (OCR, LibreOffice).
PASSING = {
    "file_missing", "permission", "not_a_file", "file_unreadable", "pdf_no_text", "office_no_text", "office_converter_missing",
    "office_not_converted", "gave_up", "timed_out", "out_of_memory", "reader_crashed", "reader_failed", "reader_not_started",
}  # fmt: skip
#: Said of a document that is read all the same, or of a call.
NO_REFUSALS = {*LOSSES, "csv_unclosed_quote", "several_documents"}


def test_every_reason_lasts_or_passes() -> None:
    """Guards against a new reason that nobody thought about: its file would be read in vain by every build, or never again."""
    assert not LASTING & PASSING
    assert set(SENTENCES) - NO_REFUSALS == LASTING | PASSING
