"""One machine with nginx and Docker or Podman. Import `target.NginxTarget` and `settings.NginxSettings` from here."""
