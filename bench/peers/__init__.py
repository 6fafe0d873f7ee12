"""The peers, one small file each, with the source of every setting that is not a default."""
