"""From a state to text a person looks at: log lines, a live terminal, an HTML page. It decides and sends nothing."""
