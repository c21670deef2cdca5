"""The embedded Argo Rollouts: it rolls out, creates AnalysisRuns, asks over HTTP and follows the answers (1.10.1)."""
