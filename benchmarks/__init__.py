"""Speed against plain reference implementations, measured side by side in one run."""
