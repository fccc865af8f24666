"""What people and programs read: REST and Dash. Readers only."""
