"""What readers are given: executed notebooks, the copy on Colab, web pages and the report."""
