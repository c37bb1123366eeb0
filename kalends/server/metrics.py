"""What is measured, for Prometheus at `/metrics`."""

from prometheus_client import Counter, Gauge, Histogram

REQUESTS = Counter("kalends_http_requests_total", "HTTP requests, by path and status.", ["path", "status"])
SECONDS = Histogram(
    "kalends_http_request_seconds",
    "How long HTTP requests took, by path.",
    ["path"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
PUSHED = Counter("kalends_sync_pushed_total", "Events that reached their provider through this process's worker.")
SWEPT = Counter("kalends_sync_swept_total", "Forgotten work that the sweeper found: more than none is worth a look.")
BACKLOG = Gauge("kalends_sync_backlog", "Events that wait for their provider, in the whole database.")
DEAD_LETTERS = Gauge("kalends_sync_dead_letters", "Events whose sync waits for a person, in the whole database.")
