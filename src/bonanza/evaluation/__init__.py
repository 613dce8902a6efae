"""Measures language models: on files of questions and answers, and on the tasks of lm-evaluation-harness."""
