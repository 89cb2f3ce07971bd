"""Metrics, alarms, their descriptions, and the dashboard."""
