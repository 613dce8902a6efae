"""Which of the extracted pairs are kept, and why the others are not."""
