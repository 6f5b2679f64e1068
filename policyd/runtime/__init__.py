"""What both services need at run time: statuses, security, audit, metrics, traces, health, logs."""
