"""The console command ``bsnn``: arguments, commands, and the doctor."""
