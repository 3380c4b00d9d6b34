"""What a run at the papers' size would take: its jobs from a dry run, their hours and bytes from measured rates."""
