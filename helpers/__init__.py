"""The code that the notebooks of "Token or span?" share."""
