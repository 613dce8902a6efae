"""Reading documents: what turns a page into question-answer pairs."""
