"""Guards a turn: no caller is left in silence when a provider is slow, broken or gone."""
