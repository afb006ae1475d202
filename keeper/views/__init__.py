"""What people look at: the live view, reports and plots."""
