"""Looking at conditions outside of the scheduler's loop: an evaluator, its workers, and the scheduler's side."""
