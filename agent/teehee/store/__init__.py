"""The mind's tables: Eliza's names, one function per question asked of them."""
