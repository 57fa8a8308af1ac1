"""Modal dialogs: questions, help, and long work with its progress."""
