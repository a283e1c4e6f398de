"""A primary, a streaming standby that serves plans, and PgBouncer in front: what a read replica takes."""
