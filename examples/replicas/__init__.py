"""Plans on a read replica: a primary, a streaming standby that serves the plans, and PgBouncer in front."""
