"""Names of the database tables."""

TICKS = "tick_data"
BARS = "aggregated_data"
INDICATORS = "technical_indicators"
CANCELS = "trade_cancels"
FEEDS = "feeds"
FEED_GAPS = "feed_gaps"
FEED_EVENTS = "feed_events"
API_KEYS = "api_keys"
AUDIT_LOG = "audit_log"

FEED_EVENT_DAYS = 30  # how long the history of feed events is kept
