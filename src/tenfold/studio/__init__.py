"""The desktop program: accounts, a queue of jobs, and windows on top of both."""
