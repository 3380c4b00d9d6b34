"""What `make report` adds to Snakemake's HTML report: an opening page, and tables that can be read in it."""
