"""Any other platform, through the user's own programs. Import `target.CommandTarget` and `settings.CommandSettings`."""
