"""What a decision was made from, kept as one file beside the journal, so that anybody can check it anew."""
