"""`make bench`: measures the budgets of design s9 on this machine and writes var/bench/latest.json (api s3)."""
