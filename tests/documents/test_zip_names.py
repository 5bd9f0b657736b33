"""The names of an archive's members: whatever they are, the ids made of them stay inside."""

from hypothesis import given, settings
from hypothesis import strategies as st

from ragjp.documents.zip_names import danger_in, safe_name


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=40), st.binary(max_size=20))
def test_names_stay_inside(text: str, raw: bytes) -> None:
    """Guards against ids with ``..``, a leading slash or control characters, whatever the name."""
    for name in (text, raw.decode("cp932", "replace"), f"{text}/../{text}"):
        safe = safe_name(name)
        assert safe
        assert not safe.startswith("/")
        assert ".." not in safe.split("/")
        safe.encode()
        if not danger_in(name) and "//" not in name and "/./" not in f"/{name}/":
            assert safe == name.replace("\\", "/").strip("/") or "\\" in name
