"""What a run leaves behind: tables, training file, summary, dataset card."""
