"""What each number in the README comes from: one scenario a module, each measured against its floor in the same run."""
