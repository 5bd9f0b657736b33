"""What an index is on disk and how it is changed: one commit point, write-once segments, digests, a seal, migrations."""
