"""What watches the service: dashboards, alert rules, a local Prometheus, a live view."""
