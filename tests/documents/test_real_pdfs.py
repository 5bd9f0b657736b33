"""Real PDFs of Japanese ministries and companies: each gives a document or a reason."""

from __future__ import annotations

from pathlib import Path

import pypdfium2
import pytest

from ragjp.config import Limits
from ragjp.documents import DocumentReader
from ragjp.errors import DocumentError

#: Small ones, and what is special about them.
SAMPLE = {
    "20210830_2.pdf": "",
    "staff24.pdf": "",
    "food_labeling_cms204_220701_03.pdf": "",
    "r3fy-FC-all.pdf": "pages without text",
    "report.pdf": "a title in the metadata",
    "foodkaku5.pdf": "fonts without character codes",
}


@pytest.mark.data
@pytest.mark.parametrize("name", SAMPLE)
def test_real_pdf(data_folder: Path, name: str) -> None:
    """Guards against what no generated PDF has: odd fonts, scanned pages, titles written by programs."""
    path = data_folder / "enterprise-ja" / "pdf" / name
    if not path.is_file():
        pytest.skip(f"no {name} in the benchmark folder")
    with pypdfium2.PdfDocument(path) as pdf:
        n_pages = len(pdf)
    with DocumentReader(Limits(seconds=60)) as reader:
        if name == "foodkaku5.pdf":
            with pytest.raises(DocumentError) as caught:
                reader.read(path, name)
            assert caught.value.code == "pdf_no_text"
            return
        document = reader.read(path, name)
    assert [page.number for page in document.pages] == list(range(1, n_pages + 1))
    text = "".join(page.text for page in document.pages)
    kana = sum("ぁ" <= char <= "ヿ" for char in text)
    assert kana > 0.1 * len(text), "this is not Japanese prose"
    assert not any("\ue000" <= char <= "\uf8ff" or char in "\r\x00\x02\ufffe" for char in text)
    assert document.title
    assert any(not page.text for page in document.pages) == (name == "r3fy-FC-all.pdf")
