"""From a form or a request to queued runs: fields, estimates, warnings, previews, sweeps."""
