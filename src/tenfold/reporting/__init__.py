"""What runs measured, put together for people: tables and pages."""
